-- +goose Up

-- The span of which what happens to the task is a part, as W3C Trace Context writes it: 00-TRACE-SPAN-FLAGS. Null: none.
ALTER TABLE task_queue ADD COLUMN traceparent text CHECK (length(traceparent) = 55);

-- +goose Down
ALTER TABLE task_queue DROP COLUMN traceparent;
