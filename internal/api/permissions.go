package api

import (
	"maps"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// Permission is what a caller must be allowed to do for a call.
type Permission string

const (
	Anybody     Permission = "anybody"     // without a key too
	Looks       Permission = "looks"       // at one task that it knows of
	Views       Permission = "views"       // everything, and changes nothing
	Produces    Permission = "produces"    // tasks, and cancels them
	Works       Permission = "works"       // on tasks
	Operates    Permission = "operates"    // the queue
	Administers Permission = "administers" // keys
)

// grants says which roles have a permission. A permission that is not here nobody has.
var grants = map[Permission][]task.Role{
	Looks:       {task.RoleProducer, task.RoleWorker, task.RoleViewer, task.RoleOperator, task.RoleAdmin},
	Views:       {task.RoleViewer, task.RoleOperator, task.RoleAdmin},
	Produces:    {task.RoleProducer, task.RoleOperator, task.RoleAdmin},
	Works:       {task.RoleWorker, task.RoleAdmin},
	Operates:    {task.RoleOperator, task.RoleAdmin},
	Administers: {task.RoleAdmin},
}

// Has reports whether a role has a permission.
func (p Permission) Has(r task.Role) bool { return p == Anybody || slices.Contains(grants[p], r) }

// Scope says how a call is bounded for a key that is limited to some types of tasks.
type Scope int

const (
	Everything Scope = iota // it is about tasks of all types: such a key may not do it
	ByTask                  // it is about the task in the path, which does not exist for the key when it is of another type
	ByRun                   // it is about the run in the path, which does not exist for the key when it is of another type
	ByType                  // it is about the type in the path
	ByQuery                 // it must name types by the parameter type, for runs module
	ByBody                  // it names types in its body, at which its handler looks
	NoTask                  // it is about no task
)

// Rule is the permission that a route needs.
type Rule struct {
	May Permission
	For Scope
}

// Permissions are rules by the method and path of a route, such as "GET /api/queue/tasks/:task_id". That for GET is that for HEAD too.
type Permissions map[string]Rule

// permissions has a row for every route of the API. A route without one is closed to everybody once there is a key, and fails a test.
var permissions = Permissions{
	"POST /api/queue/enqueue":                  {Produces, ByBody},
	"POST /api/queue/enqueue/batch":            {Produces, ByBody},
	"GET /api/queue/tasks":                     {Views, ByQuery},
	"GET /api/queue/tasks/:task_id":            {Looks, ByTask},
	"POST /api/queue/tasks/:task_id/cancel":    {Produces, ByTask},
	"POST /api/queue/tasks/:task_id/requeue":   {Operates, ByTask},
	"DELETE /api/queue/tasks/:task_id":         {Operates, ByTask},
	"GET /api/queue/tasks/:task_id/attempts":   {Looks, ByTask},
	"GET /api/queue/tasks/:task_id/explain":    {Looks, ByTask},
	"GET /api/queue/tasks/:task_id/logs":       {Looks, ByTask},
	"GET /api/queue/tasks/:task_id/events":     {Looks, ByTask},
	"GET /api/queue/stats":                     {Views, Everything},
	"GET /api/queue/metrics":                   {Views, Everything},
	"GET /api/queue/metrics/history":           {Views, Everything},
	"GET /api/queue/stranded":                  {Views, Everything},
	"GET /api/queue/logs":                      {Views, ByQuery},
	"DELETE /api/queue/logs":                   {Operates, Everything},
	"GET /api/queue/events":                    {Views, ByQuery},
	"POST /api/queue/claim":                    {Works, ByBody},
	"POST /api/queue/tasks/:task_id/start":     {Works, ByTask},
	"POST /api/queue/tasks/:task_id/heartbeat": {Works, ByTask},
	"POST /api/queue/tasks/:task_id/complete":  {Works, ByTask},
	"POST /api/queue/tasks/:task_id/fail":      {Works, ByTask},
	"POST /api/queue/tasks/:task_id/release":   {Works, ByTask},
	"POST /api/queue/tasks/:task_id/logs":      {Works, ByTask},

	"GET /api/queue/workers":                          {Views, Everything},
	"GET /api/queue/workers/:worker_id":               {Views, Everything},
	"POST /api/queue/workers/:worker_id/heartbeat":    {Works, NoTask},
	"POST /api/queue/workers/cleanup":                 {Operates, Everything},
	"POST /api/queue/workers/:worker_id/reclaim":      {Operates, Everything},
	"POST /api/queue/workers/:worker_id/drain":        {Operates, Everything},
	"POST /api/queue/workers/:worker_id/resume":       {Operates, Everything},
	"DELETE /api/queue/workers/:worker_id":            {Operates, Everything},
	"GET /api/queue/types":                            {Views, Everything},
	"GET /api/queue/types/:type":                      {Views, ByType},
	"PUT /api/queue/types/:type":                      {Operates, ByType},
	"POST /api/queue/types/:type/pause":               {Operates, ByType},
	"POST /api/queue/types/:type/resume":              {Operates, ByType},
	"POST /api/queue/operations":                      {Operates, Everything},
	"GET /api/queue/operations":                       {Views, Everything},
	"GET /api/queue/operations/:operation_id":         {Views, Everything},
	"POST /api/queue/operations/:operation_id/cancel": {Operates, Everything},
	"GET /api/queue/failures":                         {Views, Everything},
	"GET /api/queue/failures/:failure_id":             {Views, Everything},
	"POST /api/queue/failures/:failure_id/requeue":    {Operates, Everything},
	"POST /api/queue/failures/:failure_id/dismiss":    {Operates, Everything},
	"GET /api/queue/schedules":                        {Views, Everything},
	"GET /api/queue/schedules/:name":                  {Views, Everything},
	"PUT /api/queue/schedules/:name":                  {Operates, Everything},
	"DELETE /api/queue/schedules/:name":               {Operates, Everything},
	"POST /api/queue/schedules/:name/pause":           {Operates, Everything},
	"POST /api/queue/schedules/:name/resume":          {Operates, Everything},
	"GET /api/queue/schedules/:name/preview":          {Views, Everything},

	"POST /api/queue/backups":                     {Operates, Everything},
	"GET /api/queue/backups":                      {Views, Everything},
	"GET /api/queue/backups/:backup":              {Views, Everything},
	"POST /api/queue/backups/:backup/verify":      {Operates, Everything},
	"GET /api/queue/maintenance/stats":            {Views, Everything},
	"POST /api/queue/maintenance/checkpoint":      {Operates, Everything},
	"POST /api/queue/maintenance/vacuum":          {Operates, Everything},
	"POST /api/queue/maintenance/analyze":         {Operates, Everything},
	"POST /api/queue/maintenance/integrity-check": {Operates, Everything},
	"POST /api/queue/maintenance/optimize":        {Operates, Everything},
	"POST /api/queue/maintenance/retention":       {Operates, Everything},
	"POST /api/queue/maintenance/reclaim":         {Operates, Everything},
	"DELETE /api/queue/maintenance/running":       {Operates, Everything},

	"GET /api/queue/keys":                 {Administers, Everything},
	"POST /api/queue/keys":                {Administers, Everything},
	"POST /api/queue/keys/:key_id/rotate": {Administers, Everything},
	"POST /api/queue/keys/:key_id/revoke": {Administers, Everything},
	"DELETE /api/queue/keys/:key_id":      {Administers, Everything},

	"POST /api/modules/:module_id/run":  {Produces, ByType},
	"GET /api/runs":                     {Views, ByQuery},
	"GET /api/runs/:run_id":             {Looks, ByRun},
	"POST /api/runs/:run_id/cancel":     {Produces, ByRun},
	"DELETE /api/runs/:run_id":          {Produces, ByRun},
	"GET /api/runs/:run_id/logs":        {Looks, ByRun},
	"GET /api/runs/:run_id/logs/stream": {Looks, ByRun},

	"GET /livez":        {Anybody, NoTask},
	"GET /readyz":       {Anybody, NoTask},
	"GET /metrics":      {Views, Everything},
	"GET /openapi.json": {Looks, NoTask},
	"GET /api":          {Looks, NoTask},
	"POST /login":       {Anybody, NoTask}, // it is where a key is given
	"POST /logout":      {Anybody, NoTask},
}

// route is how a request finds its rule.
type route struct{ method, path string }

// rulesOf returns the rules of all routes that e has, those for people among them. A route that no table has is closed.
func rulesOf(e *echo.Echo, pages Pages) map[route]Rule {
	all := maps.Clone(permissions)
	if pages != nil {
		maps.Copy(all, pages.Permissions())
	}
	out := make(map[route]Rule)
	for _, r := range e.Routes() {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		out[route{r.Method, r.Path}] = all[method+" "+r.Path]
	}
	return out
}
