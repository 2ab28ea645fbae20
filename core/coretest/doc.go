// Package coretest lends tests what the rooms of core are lent by the hub: a
// clock that stands still until a test moves it.
package coretest
