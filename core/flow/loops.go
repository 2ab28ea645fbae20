package flow

// loops refuses a way through the workflow that comes back to where it was
// without waiting: it would never end.
func (p *parser) loops(w *Workflow) {
	const open, done = 1, 2
	state := make([]int, len(w.Activities))
	var visit func(i int) bool
	visit = func(i int) bool {
		if i == end || state[i] == done {
			return false
		}
		a := w.Activities[i]
		if a.Kind == Delay || a.Kind == QueueTask || a.Kind == DisconnectConversation {
			return false
		}
		if state[i] == open {
			p.find(p.in.Activities[i].Pos, "this activity can be reached from itself without a wait in between; "+
				"a parameter that is already set is not waited for")
			return true
		}
		state[i] = open
		// An operation is a call to the outside: it is no pause.
		found := visit(a.Next) || (a.Kind == CheckCondition || a.Kind == RunOperation) && visit(a.Else)
		state[i] = done
		return found
	}
	for i := range w.Activities {
		if visit(i) {
			return
		}
	}
}
