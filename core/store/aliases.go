package store

import "context"

// InsertAlias makes alias the name of a task on a platform, unless it is that of
// another task, and returns the task whose name it is. It locks the name.
func (tx *Tx) InsertAlias(ctx context.Context, tenant, platform, alias, taskID string) (holder string, err error) {
	if err := tx.LockName(ctx, tenant, platform, alias); err != nil {
		return "", err
	}
	n, err := tx.exec(ctx, "INSERT INTO aliases (tenant, platform, alias, task_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		tenant, platform, alias, taskID)
	if err != nil || n == 1 {
		return taskID, err
	}
	return tx.TaskOfAlias(ctx, tenant, platform, alias)
}

// LockName lets nobody else lock a task's name on a platform until the
// transaction ends, whether or not a task has it. Who links the name and who
// hears of it both do so: else each may miss the other. They do it before they
// lock the task, but for a second name that an event tells: a deadlock with that
// costs a second, and Write tries again.
func (tx *Tx) LockName(ctx context.Context, tenant, platform, alias string) error {
	if tx.db.sqlite { // one writer at a time
		return nil
	}
	_, err := tx.exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", tenant+"\n"+platform+"\n"+alias)
	return err
}

const selectAlias = "SELECT task_id FROM aliases WHERE tenant = ? AND platform = ? AND alias = ?"

// TaskOfAlias returns the id of the task that has a name on a platform; NotFound
// when there is none.
func (tx *Tx) TaskOfAlias(ctx context.Context, tenant, platform, alias string) (id string, err error) {
	err = tx.get(ctx, &id, selectAlias, tenant, platform, alias)
	return id, err
}

// AliasesOf returns the names of a task by platform, each platform's in
// alphabetical order.
func (db *DB) AliasesOf(ctx context.Context, taskID string) (map[string][]string, error) {
	var found []struct{ Platform, Alias string }
	err := db.list(ctx, &found, "SELECT platform, alias FROM aliases WHERE task_id = ? ORDER BY platform, alias", taskID)
	aliases := map[string][]string{}
	for _, f := range found {
		aliases[f.Platform] = append(aliases[f.Platform], f.Alias)
	}
	return aliases, err
}

// OpenAliases returns the tasks of a tenant that have not ended, by the names
// that they have on a platform.
func (db *DB) OpenAliases(ctx context.Context, tenant, platform string) (map[string]string, error) {
	var rows []struct {
		Alias  string
		TaskID string `db:"task_id"`
	}
	err := db.list(ctx, &rows, `SELECT a.alias, a.task_id FROM aliases a JOIN tasks t ON t.id = a.task_id
		WHERE a.tenant = ? AND a.platform = ? AND t.ended_ms IS NULL`, tenant, platform)
	links := make(map[string]string, len(rows))
	for _, r := range rows {
		links[r.Alias] = r.TaskID
	}
	return links, err
}
