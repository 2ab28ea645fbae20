package observe

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the hub's figures, in a registry of their own. No label names a
// person, a tenant or anything a caller chooses. Methods may be called from
// several goroutines at once.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.HistogramVec
	created    *prometheus.CounterVec
	terminated *prometheus.CounterVec
	events     *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	lag        prometheus.Histogram
	groupSize  prometheus.Histogram
	groupTime  prometheus.Histogram
	build      *prometheus.GaugeVec
	findings   prometheus.Gauge
	outbound   *prometheus.HistogramVec
	authorized *prometheus.CounterVec
	executions *prometheus.HistogramVec
}

// NewMetrics returns the metrics, with those of the process and of Go.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tandem_http_request_duration_seconds", Help: "Answered requests by route, method and class of status.",
			Buckets: []float64{.001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30, 120},
		}, []string{"route", "method", "status"}),
		created:    counter("tandem_tasks_created_total", "Tasks created, by modality.", "modality"),
		terminated: counter("tandem_tasks_terminated_total", "Tasks that ended, by modality.", "modality"),
		events:     counter("tandem_task_events_total", "Events of tasks, by name.", "event"),
		deliveries: counter("tandem_deliveries_total", "Attempts at deliveries to triggers, by outcome.", "outcome"),
		lag: histogram("tandem_delivery_lag_seconds", "Time from an event to the call of its trigger.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300, 3600, 86400}),
		groupSize: histogram("tandem_commit_group_size", "Commands in one group commit.", prometheus.ExponentialBuckets(1, 2, 11)),
		groupTime: histogram("tandem_commit_group_seconds", "Duration of one group commit.",
			[]float64{.0005, .001, .002, .005, .01, .025, .05, .1, .5, 1, 5}),
		build: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tandem_build_info", Help: "1, with the build's version."},
			[]string{"version", "revision", "go"}),
		findings: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tandem_mapping_findings", Help: "Findings in the mapping files that were last refused; 0 when those on disk are in force.",
		}),
	}
	m.outbound = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tandem_outbound_duration_seconds", Help: "Attempts at calls to upstreams, by integration and outcome.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"integration", "outcome"})
	m.executions = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tandem_execution_duration_seconds", Help: "Runs of operations that a platform asked for, by its word for how they ended.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 90},
	}, []string{"platform", "outcome"})
	m.authorized = counter("tandem_authorization_changes_total", "Authorizations that became authorized, pending or reauthorize, by integration.", "integration", "status")
	m.registry.MustRegister(
		m.outbound, m.authorized, m.executions,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.created, m.terminated, m.events, m.deliveries, m.lag, m.groupSize, m.groupTime, m.build, m.findings,
	)
	for _, o := range deliveryOutcomes {
		m.deliveries.WithLabelValues(o) // so that a rate over them starts at 0, not at nothing
	}
	return m
}

// deliveryOutcomes is the closed set of outcomes of an attempt at a delivery.
var deliveryOutcomes = []string{"delivered", "retried", "dead", "ended"}

// statusClasses are the label values of a status, by its first digit.
var statusClasses = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// HTTPRequest counts an answered request. Route is a template, never a path.
func (m *Metrics) HTTPRequest(route, method string, status int, d time.Duration) {
	class := statusClasses[0]
	if i := status / 100; i > 0 && i < len(statusClasses) {
		class = statusClasses[i]
	}
	m.requests.WithLabelValues(route, method, class).Observe(d.Seconds())
}

// MappingFindings tells how many findings keep the mapping files on disk from
// being in force.
func (m *Metrics) MappingFindings(n int) { m.findings.Set(float64(n)) }

// TaskCreated counts a task.
func (m *Metrics) TaskCreated(modality string) { m.created.WithLabelValues(modality).Inc() }

// TaskTerminated counts a task's end.
func (m *Metrics) TaskTerminated(modality string) { m.terminated.WithLabelValues(modality).Inc() }

// TaskEvent counts an event.
func (m *Metrics) TaskEvent(name string) { m.events.WithLabelValues(name).Inc() }

// Delivery counts an attempt at a delivery: delivered, retried (failed, to be
// tried again), dead (given up) or ended (the trigger is gone); any other word
// counts as "other".
func (m *Metrics) Delivery(outcome string) {
	for _, o := range deliveryOutcomes {
		if o == outcome {
			m.deliveries.WithLabelValues(o).Inc()
			return
		}
	}
	m.deliveries.WithLabelValues("other").Inc()
}

// DeliveryLag notes the time from an event to the call of its trigger.
func (m *Metrics) DeliveryLag(d time.Duration) { m.lag.Observe(d.Seconds()) }

// OutboundAttempt notes an attempt at a call to an upstream. Integration is the
// id of a mapping folder, outcome one of a closed set.
func (m *Metrics) OutboundAttempt(integration, outcome string, d time.Duration) {
	m.outbound.WithLabelValues(integration, outcome).Observe(d.Seconds())
}

// Executed counts a run of an operation; outcome is one of the platform's words.
func (m *Metrics) Executed(platform, outcome string, d time.Duration) {
	m.executions.WithLabelValues(platform, outcome).Observe(d.Seconds())
}

// AuthorizationChanged counts a change of an authorization's status.
func (m *Metrics) AuthorizationChanged(integration, status string) {
	m.authorized.WithLabelValues(integration, status).Inc()
}

// Figure is one value of a gauge that is read at each scrape.
type Figure struct {
	Labels []string // values, in the order of the gauge's labels
	Value  float64
}

// Gauges adds a gauge with labels that asks read at each scrape; read must
// answer at once and from any goroutine, and name each set of labels once. A
// second gauge of the same name is an error.
func (m *Metrics) Gauges(name, help string, labels []string, read func() []Figure) error {
	return m.registry.Register(figures{prometheus.NewDesc(name, help, labels, nil), read})
}

type figures struct {
	desc *prometheus.Desc
	read func() []Figure
}

// Describe implements prometheus.Collector.
func (f figures) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

// Collect implements prometheus.Collector.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	for _, v := range f.read() {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, v.Value, v.Labels...)
	}
}

// GroupCommit notes one group commit.
func (m *Metrics) GroupCommit(commands int, d time.Duration) {
	m.groupSize.Observe(float64(commands))
	m.groupTime.Observe(d.Seconds())
}

// QueueDepth adds a gauge that asks depth at each scrape. Queue is a fixed name
// such as "deliveries" or "timers"; depth must answer at once and from any
// goroutine. A second gauge of the same name is an error.
func (m *Metrics) QueueDepth(queue string, depth func() float64) error {
	return m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tandem_queue_depth", Help: "Rows that wait, by queue.", ConstLabels: prometheus.Labels{"queue": queue},
	}, depth))
}

// ExecutionsDropped adds a counter that asks count at each scrape, which must
// answer at once and from any goroutine.
func (m *Metrics) ExecutionsDropped(count func() int64) error {
	return m.registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tandem_executions_dropped_total", Help: "Runs of operations that were not kept for the Executions page, because there were too many.",
	}, func() float64 { return float64(count()) }))
}

// BuildInfo notes what runs.
func (m *Metrics) BuildInfo(version, revision string) {
	m.build.Reset()
	m.build.WithLabelValues(version, revision, runtime.Version()).Set(1)
}

// Handler serves the metrics in Prometheus' formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: scrapeTimeout, ErrorHandling: promhttp.ContinueOnError,
	})
}

const scrapeTimeout = 10 * time.Second
