package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
)

// cpu works as hard as it can for some tens of milliseconds, so that a flame
// graph shows where: in listPrimes and, to a smaller part, in fingerprint.
func (a *API) cpu(w http.ResponseWriter, r *http.Request) error {
	below := 400_000 + int(a.Random()*400_000)
	ctx, span := a.tracer.Start(r.Context(), "list primes")
	defer span.End()
	span.SetAttributes(attribute.Int("primes.below", below))

	primes, err := listPrimes(ctx, below)
	if err != nil {
		return err
	}
	span.SetAttributes(attribute.Int("primes.found", len(primes)))
	return reply(w, http.StatusOK, map[string]any{
		"below":       below,
		"primes":      len(primes),
		"fingerprint": fingerprint(primes),
	})
}

// listPrimes tries every divisor. A profile will suggest a better way.
func listPrimes(ctx context.Context, below int) ([]int, error) {
	var primes []int
	for n := 2; n < below; n++ {
		if n%10_000 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if isPrime(n) {
			primes = append(primes, n)
		}
	}
	return primes, nil
}

func isPrime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// fingerprint hashes every prefix, so to speak: each sum goes into the next.
func fingerprint(numbers []int) string {
	var sum [sha256.Size]byte
	for _, n := range numbers {
		binary.BigEndian.PutUint64(sum[:8], uint64(n))
		sum = sha256.Sum256(sum[:])
	}
	return hex.EncodeToString(sum[:8])
}
