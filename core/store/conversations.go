package store

import (
	"context"
	"time"

	"tandem/core"
)

// Conversation is what a customer and the agents say to each other, over
// several tasks. MatchKey is a hash of what makes two messages belong together;
// TaskID is the last task, in whatever words its maker gave.
type Conversation struct {
	ID        string
	Tenant    string
	MatchKey  []byte `db:"match_key"`
	TaskID    string `db:"task_id"`
	Messages  int
	UpdatedMs int64 `db:"updated_ms"`
}

// ConversationMessage is a name under which a message of a conversation is
// known, and what came of it. Key is a hash.
type ConversationMessage struct {
	Tenant         string
	Key            []byte
	ConversationID string `db:"conversation_id"`
	Operation      string
	TaskID         string `db:"task_id"`
	CreatedMs      int64  `db:"created_ms"`
}

const selectConversation = "SELECT id, tenant, match_key, task_id, messages, updated_ms FROM conversations "

// ConversationByKey returns the conversation of a match key and locks it;
// NotFound when there is none.
func (tx *Tx) ConversationByKey(ctx context.Context, tenant string, key []byte) (Conversation, error) {
	var c Conversation
	err := tx.get(ctx, &c, tx.lock(selectConversation+"WHERE tenant = ? AND match_key = ?"), tenant, key)
	return c, err
}

// ConversationByMessage returns the conversation that holds a message of one of
// these keys, the latest if there are several, and locks it; NotFound when there
// is none. Each number of keys is a statement of its own: there should be few.
func (tx *Tx) ConversationByMessage(ctx context.Context, tenant string, keys [][]byte) (Conversation, error) {
	var c Conversation
	if len(keys) == 0 {
		return c, core.Errorf(core.NotFound, "not found")
	}
	args := []any{tenant, tenant}
	for _, key := range keys {
		args = append(args, key)
	}
	err := tx.get(ctx, &c, tx.lock(selectConversation+`WHERE tenant = ? AND id IN
		(SELECT conversation_id FROM messages WHERE tenant = ? AND key IN (`+rows(len(keys), "?")+`))
		ORDER BY updated_ms DESC, id LIMIT 1`), args...)
	return c, err
}

// InsertConversation stores a new conversation. ErrRetry when another writer
// was faster with the same match key.
func (tx *Tx) InsertConversation(ctx context.Context, c Conversation) error {
	n, err := tx.exec(ctx, `INSERT INTO conversations (id, tenant, match_key, task_id, messages, updated_ms)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		c.ID, c.Tenant, c.MatchKey, c.TaskID, c.Messages, c.UpdatedMs)
	if err == nil && n == 0 {
		return ErrRetry
	}
	return err
}

// ContinueConversation counts a message of a conversation, which went to taskID.
func (tx *Tx) ContinueConversation(ctx context.Context, id, taskID string, at time.Time) error {
	_, err := tx.exec(ctx, "UPDATE conversations SET task_id = ?, messages = messages + 1, updated_ms = ? WHERE id = ?", taskID, ms(at), id)
	return err
}

// RekeyConversation gives a conversation another match key, so that its old one
// is free.
func (tx *Tx) RekeyConversation(ctx context.Context, id string, key []byte) error {
	_, err := tx.exec(ctx, "UPDATE conversations SET match_key = ? WHERE id = ?", key, id)
	return err
}

// ConversationMessage returns what came of a message; NotFound when it is not
// known.
func (tx *Tx) ConversationMessage(ctx context.Context, tenant string, key []byte) (ConversationMessage, error) {
	var m ConversationMessage
	err := tx.get(ctx, &m, `SELECT tenant, key, conversation_id, operation, task_id, created_ms
		FROM messages WHERE tenant = ? AND key = ?`, tenant, key)
	return m, err
}

// InsertConversationMessage stores a message and tells whether it is the first
// of its key; if not, the one that was there stays.
func (tx *Tx) InsertConversationMessage(ctx context.Context, m ConversationMessage) (first bool, err error) {
	n, err := tx.exec(ctx, `INSERT INTO messages (tenant, key, conversation_id, operation, task_id, created_ms)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		m.Tenant, m.Key, m.ConversationID, m.Operation, m.TaskID, m.CreatedMs)
	return n == 1, err
}

// TrimConversation deletes the messages of a conversation that came before the
// given time.
func (tx *Tx) TrimConversation(ctx context.Context, id string, before time.Time) error {
	_, err := tx.exec(ctx, "DELETE FROM messages WHERE conversation_id = ? AND created_ms < ?", id, ms(before))
	return err
}

// PruneConversations deletes up to limit conversations, with their messages,
// that had no message since the given time, and returns how many.
func (tx *Tx) PruneConversations(ctx context.Context, before time.Time, limit int) (int, error) {
	var ids []string
	// Locked, so that a message that arrives now either keeps its conversation
	// or begins another.
	err := tx.list(ctx, &ids, tx.lock("SELECT id FROM conversations WHERE updated_ms < ? ORDER BY updated_ms LIMIT ?"), ms(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	in := "(" + rows(len(ids), "?") + ")"
	for _, q := range []string{"DELETE FROM messages WHERE conversation_id IN ", "DELETE FROM conversations WHERE id IN "} {
		if _, err := tx.exec(ctx, q+in, args...); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}
