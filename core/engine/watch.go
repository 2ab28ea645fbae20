package engine

import "slices"

// Watch returns a channel that gets a value after each change of a task by this
// process, until stop is called.
func (e *Engine) Watch(taskID string) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	e.mu.Lock()
	e.watched[taskID] = append(e.watched[taskID], ch)
	e.mu.Unlock()
	return ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		left := slices.DeleteFunc(e.watched[taskID], func(c chan struct{}) bool { return c == ch })
		if e.watched[taskID] = left; len(left) == 0 {
			delete(e.watched, taskID)
		}
	}
}

func (e *Engine) tell(taskID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ch := range e.watched[taskID] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
