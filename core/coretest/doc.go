// Package coretest lends tests what the rooms of core are lent by the hub: a
// clock that stands still until a test moves it. It also tells whether
// something is done soon on a machine that is busy.
package coretest
