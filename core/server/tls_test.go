package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ecdsaKey returns a new key.
func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// certificate writes a certificate for 127.0.0.1 and returns its files and a
// pool that trusts it.
func certificate(t *testing.T, key crypto.Signer) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return certFile, keyFile, pool
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t, ecdsaKey(t))
	addr, _ := serve(t, newServer(t, Options{TLSCertFile: certFile, TLSKeyFile: keyFile}))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := (&http.Client{Transport: transport}).Get("https://" + addr + "/v1/base")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "https://"+addr+" 127.0.0.1", string(body))
	require.Equal(t, 2, res.ProtoMajor)

	_, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	require.ErrorContains(t, err, "protocol version")
}

// TestSuitesOfContactCentres: NICE CXone calls with one of these suites (its
// network requirements list them); which of them work depends on the kind of the
// certificate.
func TestSuitesOfContactCentres(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, c := range []struct {
		key   crypto.Signer
		suite uint16
	}{
		{ecdsaKey(t), tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		{ecdsaKey(t), tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		{rsaKey, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
	} {
		certFile, keyFile, pool := certificate(t, c.key)
		addr, _ := serve(t, newServer(t, Options{TLSCertFile: certFile, TLSKeyFile: keyFile}))
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{c.suite}})
		require.NoError(t, err, tls.CipherSuiteName(c.suite))
		require.Equal(t, c.suite, conn.ConnectionState().CipherSuite)
		require.NoError(t, conn.Close())
	}
}
