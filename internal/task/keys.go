package task

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
)

const (
	// MaxKey is the longest concurrency key, in characters.
	MaxKey = 200
	// MaxWeight is the greatest weight of a key.
	MaxWeight = 1000
	// MaxWeights is how many keys of a type may have a weight.
	MaxWeights = 1000
)

// KeyRules is what holds for each concurrency key of a type by itself.
type KeyRules struct {
	MaxConcurrency *int       `json:"max_concurrency"` // tasks of a key in processing, 1 to MaxConcurrency; nil: no limit
	RateLimit      *RateLimit `json:"rate_limit"`      // how many tasks of a key may be claimed in a time; nil: any number
	// Weights is how many tasks a key may take while one of weight 1 takes one, 1 to MaxWeight. Keys that are not in it have weight 1.
	Weights map[string]int `json:"weights"`
}

func (k *KeyRules) check(bad *InvalidError) {
	if k.MaxConcurrency != nil && (*k.MaxConcurrency < 1 || *k.MaxConcurrency > MaxConcurrency) {
		bad.Add("per_key.max_concurrency", "must lie between 1 and %d: leave it out for no limit", MaxConcurrency)
	}
	if k.RateLimit != nil {
		k.RateLimit.check("per_key.rate_limit", bad)
	}
	if len(k.Weights) > MaxWeights {
		bad.Add("per_key.weights", "must not name more than %d keys", MaxWeights)
	}
	for _, key := range slices.Sorted(maps.Keys(k.Weights)) {
		if msg := CheckName(key, MaxKey); msg != "" {
			bad.Add("per_key.weights", "has a key that %s", msg)
		}
		if w := k.Weights[key]; w < 1 || w > MaxWeight {
			bad.Add(fmt.Sprintf("per_key.weights[%q]", key), "must lie between 1 and %d", MaxWeight)
		}
	}
}

// Turn is how far a task of weight 1 moves its key on; the turns of lane_keys are counted in it.
const Turn = 1_000_000

// Step is how far one task moves a key on. A nil k has no weights.
func (k *KeyRules) Step(key string) int64 {
	if k == nil || k.Weights[key] == 0 {
		return Turn
	}
	return Turn / int64(k.Weights[key])
}

// Rate is the rate of each key; the zero value: none.
func (k *KeyRules) Rate() RateLimit {
	if k == nil || k.RateLimit == nil {
		return RateLimit{}
	}
	return *k.RateLimit
}

// Scan reads the rules from their column.
func (k *KeyRules) Scan(src any) error { return scanJSON(src, k) }

// Value writes the rules to their column.
func (k KeyRules) Value() (driver.Value, error) { return valueJSON(k) }
