package operation

// Refuses says why the operation would refuse a value of an input, which is
// decoded JSON; nothing when it takes the value, or has no such input. It is for
// values that a file gives once and for all.
func (o *Operation) Refuses(name string, value any) string {
	for i := range o.Inputs {
		if o.Inputs[i].Name == name {
			_, why := o.Inputs[i].accept(value)
			return why
		}
	}
	return ""
}
