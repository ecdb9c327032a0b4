package worker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secretPrefix begins the text of a secret.
const secretPrefix = "whsec_"

// ParseSecret reads a secret of webhooks: whsec_ and 24 to 64 bytes in base64.
func ParseSecret(text string) ([]byte, error) {
	coded, ok := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(coded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("must be whsec_ and 24 to 64 bytes in base64, as `printf whsec_; openssl rand -base64 32` makes one")
	}
	return key, nil
}

// sign adds the headers of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, version 1): an id that all attempts of a task share, the time,
// and for each secret the HMAC-SHA256 of "id.time.body" in base64.
func sign(h http.Header, secrets [][]byte, id int64, at time.Time, body string) {
	name, seconds := fmt.Sprintf("task_%d", id), strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(name + "." + seconds + "." + body))
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set("Webhook-Id", name)
	h.Set("Webhook-Timestamp", seconds)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}
