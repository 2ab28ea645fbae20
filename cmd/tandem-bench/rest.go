package main

import "context"

func (l *lab) latency(ctx context.Context) error   { return nil }
func (l *lab) fanOut(ctx context.Context) error    { return nil }
func (l *lab) footprint(ctx context.Context) error { return nil }
