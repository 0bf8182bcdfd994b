// Package store keeps the truth about jobs in SQL.
package store
