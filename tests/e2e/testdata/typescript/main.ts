// Uses the client that openapi-fetch makes of generated types, against the server whose address is given: everything that is named here is checked by the compiler.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[]; exitCode?: number };

type Task = components["schemas"]["Task"];

const queue = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

// must returns the data of an answer, or throws what the server says.
function must<T>(answer: { data?: T; error?: components["schemas"]["Problem"]; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status} ${answer.error?.error_code}: ${answer.error?.detail}`);
  return answer.data;
}

function equal(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

// A task from beginning to end.
const receipt = must(await queue.POST("/api/queue/enqueue", {
  body: { type: "email", payload: { to: "ada@example.org" }, priority: 7, idempotency_key: "order-17" },
}));
equal("status", receipt.status, "queued");
const claimed = must(await queue.POST("/api/queue/claim", { body: { worker_id: "ts", types: ["email"], capabilities: { gpu: true }, max: 1 } }));
const lease = claimed.tasks[0];
if (!lease) throw new Error("nothing was claimed");
equal("claimed", lease.task_id, receipt.task_id);
const path = { task_id: lease.task_id };
const pulse = must(await queue.POST("/api/queue/tasks/{task_id}/heartbeat", {
  params: { path }, body: { lease_token: lease.lease_token, progress: 50, message: "1/2 letters" },
}));
equal("cancel_requested", pulse.cancel_requested, false);
must(await queue.POST("/api/queue/tasks/{task_id}/logs", { params: { path }, body: { lease_token: lease.lease_token, level: "info", message: "half" } }));
const done: Task = must(await queue.POST("/api/queue/tasks/{task_id}/complete", {
  params: { path }, body: { lease_token: lease.lease_token, result: { sent: true } },
}));
equal("outcome", done.outcome, "succeeded");

// Errors are typed, too.
const lost = await queue.POST("/api/queue/tasks/{task_id}/complete", { params: { path }, body: { lease_token: lease.lease_token } });
equal("error", [lost.response.status, lost.error?.error_code], [409, "lease_lost"]);
const invalid = await queue.POST("/api/queue/enqueue", { body: { type: "email", priority: 5000 } });
equal("fields", invalid.error?.errors?.map((e) => e.field), ["priority"]);

// Lists, and what is beside tasks.
const tasks = must(await queue.GET("/api/queue/tasks", { params: { query: { status: "completed", type: "email", limit: 10 } } }));
equal("tasks", tasks.map((t) => [t.task_id, t.progress, t.locked_by]), [[receipt.task_id, 50, null]]);
const types = must(await queue.PUT("/api/queue/types/{type}", { params: { path: { type: "email" } }, body: { max_concurrency: 3 } }));
equal("rule", types.max_concurrency, 3);
equal("stats", must(await queue.GET("/api/queue/stats")).completed_tasks, 1);
const run = must(await queue.POST("/api/modules/{module_id}/run", { params: { path: { module_id: "video" } }, body: { parameters: { n: 1 }, run_id: "run-1" } }));
equal("run", [run.status, run.parameters], ["queued", { n: 1 }]);
equal("cancelled", must(await queue.POST("/api/runs/{run_id}/cancel", { params: { path: { run_id: run.run_id } } })).status, "cancelled");
equal("runs", must(await queue.GET("/api/runs", { params: { query: { status: "cancelled" } } })).total, 1);
await queue.DELETE("/api/queue/tasks/{task_id}", { params: { path } });
equal("deleted", (await queue.GET("/api/queue/tasks/{task_id}", { params: { path } })).error?.error_code, "not_found");
console.log("all calls answered as they are typed");
