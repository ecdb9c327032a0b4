package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/prometheus"
)

const (
	base      = "/api/queue"
	claimPath = "/claim"
	batchPath = "/enqueue/batch"
	keysPath  = "/keys"
	runsPath  = "/api/runs"

	maintenancePath = "/maintenance"
	runningPath     = maintenancePath + "/running"
)

// Waits reports whether the answer to a request may be held back until something happens, so that it matters whether the client is still
// there. A POST is answered as soon as it is done, but for a claim and for maintenance, which ends when nobody waits for it any more.
func Waits(r *http.Request) bool {
	return r.Method != http.MethodPost || r.URL.Path == base+claimPath || strings.HasPrefix(r.URL.Path, base+maintenancePath+"/")
}

// routes is the whole surface. The calls marked compat are those of older clients: their names, statuses and texts are fixed.
func (s *server) routes(e *echo.Echo) {
	q := e.Group(base)

	q.POST("/enqueue", s.enqueue)              // compat
	q.GET("/tasks", s.listTasks)               // compat
	q.GET("/tasks/:task_id", s.getTask)        // compat
	q.POST("/tasks/:task_id/cancel", s.cancel) // compat
	q.GET("/stats", s.stats)                   // compat
	q.GET("/metrics", s.metrics)               //
	q.GET("/metrics/history", s.history)       //
	q.POST(batchPath, s.enqueueBatch)          //
	q.POST("/tasks/:task_id/requeue", s.auditedByKey("requeue", s.requeue))
	q.DELETE("/tasks/:task_id", s.auditedByKey("delete", s.deleteTask))
	q.GET("/tasks/:task_id/attempts", s.listAttempts)
	q.GET("/tasks/:task_id/explain", s.explain)
	q.GET("/stranded", s.listStranded)
	q.GET("/tasks/:task_id/logs", s.listLogs)
	q.GET("/logs", s.listRecentLogs)
	q.DELETE("/logs", s.audited("delete logs", s.deleteLogs))
	q.GET("/tasks/:task_id/events", s.streamTaskEvents)
	q.GET("/events", s.streamEvents)

	q.POST(claimPath, s.claim)
	q.POST("/tasks/:task_id/start", s.start)
	q.POST("/tasks/:task_id/heartbeat", s.heartbeat)
	q.POST("/tasks/:task_id/complete", s.complete)
	q.POST("/tasks/:task_id/fail", s.fail)
	q.POST("/tasks/:task_id/release", s.release)
	q.POST("/tasks/:task_id/logs", s.appendLog)

	q.GET("/workers", s.listWorkers)
	q.GET("/workers/:worker_id", s.getWorker)
	q.POST("/workers/:worker_id/heartbeat", s.workerHeartbeat)
	q.POST("/workers/cleanup", s.audited("cleanup", s.cleanWorkers))
	q.POST("/workers/:worker_id/reclaim", s.audited("reclaim", s.reclaimWorker))
	q.POST("/workers/:worker_id/drain", s.audited("drain", s.drainWorker))
	q.POST("/workers/:worker_id/resume", s.audited("resume", s.resumeWorker))
	q.DELETE("/workers/:worker_id", s.audited("delete", s.deleteWorker))

	q.GET("/types", s.listTypes)
	q.GET("/types/:type", s.getType)
	q.PUT("/types/:type", s.audited("set", s.putType))
	q.POST("/types/:type/pause", s.audited("pause", s.pauseType))
	q.POST("/types/:type/resume", s.audited("resume", s.resumeType))
	q.POST("/operations", s.audited("operation", s.postOperation))
	q.GET("/operations", s.listOperations)
	q.GET("/operations/:operation_id", s.getOperation)
	q.POST("/operations/:operation_id/cancel", s.audited("stop operation", s.cancelOperation))

	q.GET("/failures", s.listFailures)
	q.GET("/failures/:failure_id", s.getFailure)
	q.POST("/failures/:failure_id/requeue", s.audited("requeue failures", s.requeueFailure))
	q.POST("/failures/:failure_id/dismiss", s.audited("dismiss failures", s.dismissFailure))

	q.GET("/schedules", s.listSchedules)
	q.GET("/schedules/:name", s.getSchedule)
	q.PUT("/schedules/:name", s.audited("set", s.putSchedule))
	q.DELETE("/schedules/:name", s.audited("delete", s.deleteSchedule))
	q.POST("/schedules/:name/pause", s.audited("pause", s.pauseSchedule))
	q.POST("/schedules/:name/resume", s.audited("resume", s.resumeSchedule))
	q.GET("/schedules/:name/preview", s.previewSchedule)

	q.POST("/backups", s.audited("backup", s.createBackup))
	q.GET("/backups", s.listBackups)
	q.GET("/backups/:backup", s.getBackup)
	q.POST("/backups/:backup/verify", s.audited("verify backup", s.verifyBackup))

	q.GET(maintenancePath+"/stats", s.databaseStats)
	q.POST(maintenancePath+"/checkpoint", s.audited("checkpoint", s.checkpoint))
	q.POST(maintenancePath+"/vacuum", s.audited("vacuum", s.vacuum))
	q.POST(maintenancePath+"/analyze", s.audited("analyze", s.analyze))
	q.POST(maintenancePath+"/integrity-check", s.audited("integrity check", s.checkIntegrity))
	q.POST(maintenancePath+"/optimize", s.audited("optimize", s.optimize))
	q.POST(maintenancePath+"/retention", s.audited("retention", s.retain))
	q.POST(maintenancePath+"/reclaim", s.audited("reclaim leases", s.reclaim))
	q.DELETE(runningPath, s.audited("stop maintenance", s.stopMaintenance))

	// The calls of the older task manager's web client (compat): a run is a task.
	e.POST("/api/modules/:module_id/run", s.startRun)
	e.GET(runsPath, s.listRuns)
	e.GET(runsPath+"/:run_id", s.getRun)
	e.POST(runsPath+"/:run_id/cancel", s.cancelRun)
	e.DELETE(runsPath+"/:run_id", s.cancelRun)
	e.GET(runsPath+"/:run_id/logs", s.listRunLogs)
	e.GET(runsPath+"/:run_id/logs/stream", s.streamRunLogs)

	q.GET(keysPath, s.listKeys)
	q.POST(keysPath, s.audited("create key", s.createKey))
	q.POST(keysPath+"/:key_id/rotate", s.audited("rotate key", s.rotateKey))
	q.POST(keysPath+"/:key_id/revoke", s.audited("revoke key", s.revokeKey))
	q.DELETE(keysPath+"/:key_id", s.audited("delete key", s.deleteKey))

	look := []string{http.MethodGet, http.MethodHead}
	e.Match(look, "/livez", s.live)
	e.Match(look, "/readyz", s.ready)
	e.Match(look, "/metrics", echo.WrapHandler(prometheus.Handler(s.queue, s.Backups, s.Version)))
	e.Match(look, "/openapi.json", s.openAPI)
	e.Match(look, "/api", s.page)
}
