package task

import (
	"database/sql/driver"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Breaker says when claims of a type are to stop because what its tasks need is broken: when, of MinAttempts attempts or more that ended within WindowSeconds, FailureShare or
// more have failed. After OpenSeconds one task at a time is tried; the first that succeeds ends it, and one that fails starts it again.
type Breaker struct {
	FailureShare  float64 `json:"failure_share,omitzero"`  // greater than 0, at most 1; 0 here and below: nobody has said. 0.5
	MinAttempts   int     `json:"min_attempts,omitzero"`   // 1 to 10,000; 20
	WindowSeconds float64 `json:"window_seconds,omitzero"` // 1 to 3,600; 60
	OpenSeconds   float64 `json:"open_seconds,omitzero"`   // 1 to 86,400; 30
}

func (b *Breaker) check(bad *InvalidError) {
	if !(b.FailureShare >= 0 && b.FailureShare <= 1) {
		bad.Add("breaker.failure_share", "must be greater than 0 and at most 1: the share of attempts that fail")
	}
	if b.MinAttempts < 0 || b.MinAttempts > 10_000 {
		bad.Add("breaker.min_attempts", "must lie between 1 and 10000: fewer attempts say nothing")
	}
	if b.WindowSeconds != 0 && !(b.WindowSeconds >= 1 && b.WindowSeconds <= 3600) {
		bad.Add("breaker.window_seconds", "must lie between 1 and 3600")
	}
	if b.OpenSeconds != 0 && !(b.OpenSeconds >= 1 && b.OpenSeconds <= 86_400) {
		bad.Add("breaker.open_seconds", "must lie between 1 and 86400")
	}
}

// WithDefaults returns the breaker with what it leaves out.
func (b Breaker) WithDefaults() Breaker {
	if b.FailureShare == 0 {
		b.FailureShare = 0.5
	}
	if b.MinAttempts == 0 {
		b.MinAttempts = 20
	}
	if b.WindowSeconds == 0 {
		b.WindowSeconds = 60
	}
	if b.OpenSeconds == 0 {
		b.OpenSeconds = 30
	}
	return b
}

// Window is WindowSeconds.
func (b Breaker) Window() time.Duration { return time.Duration(b.WindowSeconds * float64(time.Second)) }

// Open is OpenSeconds.
func (b Breaker) Open() time.Duration { return time.Duration(b.OpenSeconds * float64(time.Second)) }

// UnmarshalJSONFrom reads a breaker that somebody sets, as that of RateLimit does.
func (b *Breaker) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var in struct {
		FailureShare  *float64 `json:"failure_share"`
		MinAttempts   *int     `json:"min_attempts"`
		WindowSeconds *float64 `json:"window_seconds"`
		OpenSeconds   *float64 `json:"open_seconds"`
	}
	err := jsonv2.UnmarshalDecode(dec, &in)
	*b = Breaker{FailureShare: said(in.FailureShare), MinAttempts: said(in.MinAttempts), WindowSeconds: said(in.WindowSeconds), OpenSeconds: said(in.OpenSeconds)}
	return err
}

// Scan reads a breaker from its column.
func (b *Breaker) Scan(src any) error { return scanJSON(src, b) }

// Value writes a breaker to its column.
func (b Breaker) Value() (driver.Value, error) { return valueJSON(b) }
