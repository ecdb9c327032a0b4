package dbcopy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"time"
)

// Tally is how many rows a table has, and what they hold, in a form that is the same on both engines and in any order: the sum of the SHA-256 of the rows.
type Tally struct {
	Rows int64
	sum  [4]uint64 // least part first
}

// Hash is the sum in hexadecimal.
func (t Tally) Hash() string {
	var b [32]byte
	for i, part := range t.sum {
		binary.BigEndian.PutUint64(b[24-8*i:], part)
	}
	return hex.EncodeToString(b[:])
}

// digester makes hashes of rows. It is not safe for concurrent use.
type digester struct{ text []byte }

// of returns the hash of a row as a number, least part first.
func (d *digester) of(row any) (sum [4]uint64) {
	d.text = d.text[:0]
	v := reflect.ValueOf(row)
	for i := range v.NumField() {
		d.text = appendValue(d.text, v.Field(i))
	}
	b := sha256.Sum256(d.text)
	for i := range sum {
		sum[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return sum
}

func (t *Tally) add(sum [4]uint64) {
	t.Rows++
	var carry uint64
	for i := range t.sum {
		t.sum[i], carry = bits.Add64(t.sum[i], sum[i], carry)
	}
}

func (t *Tally) subtract(sum [4]uint64) {
	t.Rows--
	var borrow uint64
	for i := range t.sum {
		t.sum[i], borrow = bits.Sub64(t.sum[i], sum[i], borrow)
	}
}

func (t *Tally) merge(o Tally) {
	rows := t.Rows + o.Rows
	t.add(o.sum)
	t.Rows = rows
}

var instant = reflect.TypeFor[time.Time]()

// appendValue appends a value so that no two values look alike: null is 0, another is its length or its kind and what it holds. Times are microseconds.
func appendValue(b []byte, v reflect.Value) []byte {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return append(b, 0)
		}
		b, v = append(b, 1), v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		return append(b, v.String()...)
	case reflect.Int, reflect.Int64, reflect.Int32:
		return binary.AppendVarint(b, v.Int())
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Float64:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float()))
	}
	if v.Type() == instant {
		return binary.AppendVarint(b, v.Interface().(time.Time).UnixMicro())
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		panic(fmt.Sprintf("a column of type %s has no canonical form: %v", v.Type(), err))
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}
