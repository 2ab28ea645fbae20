package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/mattn/go-sqlite3" // the hub's driver

	"tandem/core"
)

// The commands that make this binary one of the bare programs that the hub is
// compared to, or works with. Each takes one argument.
const (
	plainCreate  = "serve-plain-create"  // a folder
	plainExecute = "serve-plain-execute" // the address of the CRM
	plainCRM     = "serve-plain-crm"     // nothing
)

var plainServers = map[string]func(ctx context.Context, arg string, out io.Writer) error{
	plainCreate: servePlain, plainExecute: serveExecute, plainCRM: serveCRM,
}

// plainTask is what the bare handler decodes and stores.
type plainTask struct {
	ID                 string            `json:"id"`
	Created            time.Time         `json:"created"`
	ServiceUPN         string            `json:"serviceUpn"`
	CustomerIdentifier string            `json:"customerIdentifier"`
	Priority           string            `json:"distributionPriority"`
	Customer           map[string]string `json:"customer"`
	Parameters         []core.NamedValue `json:"customContextParameters"`
}

// insert is a row that waits for its commit.
type insert struct {
	id   string
	data []byte
	done chan error
}

// servePlain answers each POST when its row is on disk, and prints its address.
// Rows that wait together are committed together, as in the hub's store.
func servePlain(ctx context.Context, dir string, out io.Writer) error {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "plain.db")+"?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, text := range []string{
		"PRAGMA wal_autocheckpoint=8000", "CREATE TABLE tasks (id TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL)",
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	stmt, err := db.PrepareContext(ctx, "INSERT INTO tasks (id, data) VALUES (?, ?)")
	if err != nil {
		return err
	}
	defer stmt.Close()
	queue := make(chan insert, 4096)
	go commitPlain(context.WithoutCancel(ctx), db, stmt, queue)
	return serveHandler(ctx, plainHandler(queue), out)
}

// serveHandler serves on a loopback port until ctx ends, and prints its address.
func serveHandler(ctx context.Context, handler http.Handler, out io.Writer) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintln(out, l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func plainHandler(queue chan<- insert) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+addPath, func(w http.ResponseWriter, r *http.Request) {
		var task plainTask
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&task); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		task.Created = time.Now()
		task.ID = core.NewID(task.Created)
		data, err := json.Marshal(&task)
		if err == nil {
			row := insert{task.ID, data, make(chan error, 1)}
			queue <- row
			err = <-row.done
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	})
	return mux
}

// commitPlain commits the rows, those that wait together in one transaction.
func commitPlain(ctx context.Context, db *sql.DB, stmt *sql.Stmt, queue <-chan insert) {
	const groupSize, groupTime = 256, 5 * time.Millisecond
	for first := range queue {
		began := time.Now()
		rows := []insert{first}
		tx, err := db.BeginTx(ctx, nil)
		for i := 0; err == nil && i < len(rows); i++ {
			//nolint:sqlclosecheck // closed with the transaction
			if _, err = tx.StmtContext(ctx, stmt).ExecContext(ctx, rows[i].id, rows[i].data); err != nil {
				break
			}
			if len(rows) < groupSize && time.Since(began) < groupTime {
				select {
				case next := <-queue:
					rows = append(rows, next)
				default:
				}
			}
		}
		if err == nil {
			err = tx.Commit()
		} else if tx != nil {
			_ = tx.Rollback()
		}
		for _, row := range rows {
			row.done <- err
		}
	}
}

// plain is a bare program in a process of its own.
type plain struct {
	cmd  *exec.Cmd
	addr string
}

// startPlain starts the bare handler that stores tasks.
func (l *lab) startPlain(ctx context.Context) (*plain, error) {
	l.made++
	dir := filepath.Join(l.dir, fmt.Sprintf("plain%d", l.made))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return startBare(ctx, plainCreate, dir)
}

// startBare starts a bare program.
func startBare(ctx context.Context, command, arg string) (*plain, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, command, arg)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line := make([]byte, 64)
	n, err := out.Read(line)
	p := &plain{cmd, strings.TrimSpace(string(line[:n]))}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("%s did not start: %w", command, err)
	}
	return p, nil
}

func (p *plain) close() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
