// Package backup makes backups of a database while it is in use, keeps them in one directory, and brings them back.
package backup
