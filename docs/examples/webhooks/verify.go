// Exits with 0 if the body on stdin is signed with SECRET. ID, TIMESTAMP and SIGNATURE are its webhook-… headers.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const tolerance = 5 * time.Minute

func verify(secret, id, timestamp, signatures string, body []byte) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	good := false
	for _, each := range strings.Split(signatures, " ") {
		good = hmac.Equal([]byte(expected), []byte(each)) || good
	}
	return good
}

func main() {
	body, err := io.ReadAll(os.Stdin)
	env := os.Getenv
	if err != nil || !verify(env("SECRET"), env("ID"), env("TIMESTAMP"), env("SIGNATURE"), body) {
		os.Exit(1)
	}
}
