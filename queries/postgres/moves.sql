-- GetMove returns what is known of a move of this store; no row: it stays where it is.
-- name: GetMove :one
SELECT * FROM store_move;
