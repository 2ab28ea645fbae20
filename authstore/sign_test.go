package authstore

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"tandem/core"
)

func TestSign(t *testing.T) {
	t.Parallel()
	secret := NewSecret()
	require.NotEqual(t, secret, NewSecret())
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	require.Len(t, raw, 32)
	signer, err := NewSigner(secret)
	require.NoError(t, err)
	judge, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	for _, body := range []string{"", "{}", `{"a":"ä.1.2"}`, strings.Repeat("x", 1<<20)} {
		for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1750000000, 999999999), time.Unix(4102444800, 0)} {
			header := http.Header{}
			header.Set("webhook-id", "msg_1")
			header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
			header.Set("webhook-signature", signer.Sign("msg_1", at, []byte(body)))
			require.NoError(t, judge.VerifyIgnoringTimestamp([]byte(body), header))
			header.Set("webhook-id", "msg_2")
			require.Error(t, judge.VerifyIgnoringTimestamp([]byte(body), header))
		}
	}
}

// TestSignExample is the example of the specification's libraries.
func TestSignExample(t *testing.T) {
	t.Parallel()
	signer, err := NewSigner("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		signer.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
}

func TestNewSignerRefuses(t *testing.T) {
	t.Parallel()
	for _, size := range []int{24, 64} {
		_, err := NewSigner("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, size)))
		require.NoError(t, err)
	}
	for _, secret := range []string{
		"", "whsec_", "secret!", "whsec_secret", base64.StdEncoding.EncodeToString(make([]byte, 23)),
		base64.StdEncoding.EncodeToString(make([]byte, 65)),
	} {
		_, err := NewSigner(secret)
		require.Equal(t, core.Invalid, core.KindOf(err))
		require.NotContains(t, err.Error(), "secret!")
	}
}

func BenchmarkSign(b *testing.B) {
	signer, err := NewSigner(NewSecret())
	require.NoError(b, err)
	body := make([]byte, 2048)
	for b.Loop() {
		signer.Sign("msg_1", time.Unix(1750000000, 0), body)
	}
}
