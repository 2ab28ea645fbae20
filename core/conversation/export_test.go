package conversation

// TransKey is under which a message's transaction is kept.
func TransKey(m Message) []byte { return m.transKey() }
