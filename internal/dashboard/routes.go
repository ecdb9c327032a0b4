package dashboard

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Routes adds the pages to the server: the whole surface.
func (d *Dashboard) Routes(e *echo.Echo) {
	look := []string{http.MethodGet, http.MethodHead}
	get := func(path string, h echo.HandlerFunc) { e.Match(look, path, h) }

	get(loginPath, d.login)
	get("/", d.overview)
	get("/tasks", d.tasks)
	get("/tasks/new", d.newTask)
	e.POST("/tasks/new", d.form(d.enqueue))
	get("/tasks/:task_id", d.task)
	d.act(e, "/tasks/:task_id/cancel", d.askTask("Cancel", "It ends as failed; if it runs now, its worker is told to stop."), d.cancelTask)
	d.act(e, "/tasks/:task_id/requeue", d.askTask("Requeue", "It is queued again, with all its attempts. What has become of it stays in its history."), d.requeueTask)
	d.act(e, "/tasks/:task_id/delete", d.askTask("Delete", "It is gone then, with its log and its history."), d.deleteTask)

	get("/types", d.types)
	get("/types/:type", d.taskType)
	e.POST("/types/:type", d.form(d.setType))
	d.act(e, "/types/:type/pause", d.askType("Pause", "None of its tasks is claimed until it is resumed; those that run go on, and more may be enqueued."), d.pauseType)
	d.act(e, "/types/:type/resume", d.askType("Resume", "Its tasks are claimed again."), d.resumeType)

	get("/workers", d.workers)
	d.act(e, "/workers/cleanup", d.askCleanup, d.cleanWorkers)
	get("/workers/:worker_id", d.worker)
	d.act(e, "/workers/:worker_id/drain", d.askWorker("Drain", "It takes nothing new, ends what it runs, and then stops."), d.drainWorker)
	d.act(e, "/workers/:worker_id/resume", d.askWorker("Resume", "It takes tasks again."), d.resumeWorker)
	d.act(e, "/workers/:worker_id/reclaim", d.askWorker("Take back the tasks of", "Its leases end now: its tasks are queued again, with the attempt counted, or fail if they have none left. If it lives it loses them."), d.reclaimWorker)
	d.act(e, "/workers/:worker_id/delete", d.askWorker("Remove", "It is taken off the registry; if it lives it comes back with its next claim. Tasks that it holds stay with it until their leases end."), d.deleteWorker)

	get("/schedules", d.schedules)
	get("/schedules/:name", d.schedule)
	d.act(e, "/schedules/:name/pause", d.askSchedule("Pause", "No tick makes a task until it is resumed, and none is made up for."), d.pauseSchedule)
	d.act(e, "/schedules/:name/resume", d.askSchedule("Resume", "Its next tick makes a task again."), d.resumeSchedule)
	d.act(e, "/schedules/:name/delete", d.askSchedule("Delete", "The tasks that it has made stay."), d.deleteSchedule)

	get("/failures", d.failures)
	d.act(e, "/failures/:failure_id/requeue", d.askFailure("Requeue", "Those are queued again, with all their attempts."), d.requeueFailure)
	d.act(e, "/failures/:failure_id/dismiss", d.askFailure("Dismiss", "The reason is forgotten until it happens again; its tasks stay as they are."), d.dismissFailure)

	get("/operations", d.operations)
	e.POST("/operations/preview", d.form(d.preview))
	e.POST("/operations", d.form(d.startOperation))
	get("/operations/:operation_id", d.operation)
	d.act(e, "/operations/:operation_id/cancel", d.askOperation, d.cancelOperation)

	get("/maintenance", d.maintenance)
	d.act(e, "/maintenance/checkpoint", d.askMaintenance("Make a checkpoint?", "What stands in the write-ahead log is copied into the database, and the log is emptied. Tasks go on meanwhile.", "Make it"), d.checkpoint)
	d.act(e, "/maintenance/optimize", d.askMaintenance("Optimize the database?", "Tables that have changed much are analyzed, so that the database goes the shortest way to its rows. Tasks go on meanwhile.", "Optimize"), d.optimize)
	d.act(e, "/maintenance/vacuum", d.askMaintenance("Vacuum the database?", "Pages that hold nothing are given back to the disk, in small steps. Tasks go on meanwhile.", "Vacuum"), d.vacuum)
	d.act(e, "/maintenance/backup", d.askBackup, d.makeBackup)
	d.act(e, "/maintenance/backups/:backup/verify", d.askVerify, d.verifyBackup)
	get("/assets/*", echo.WrapHandler(assets()))
}
