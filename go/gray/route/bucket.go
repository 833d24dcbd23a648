package route

import "math/bits"

// Full is the weight that sends every subject to the canary.
const Full = 10_000

// Bucket is the subject's place among 0..9999; the canary takes those below its weight. The salt is the rollout's id,
// so that each rollout draws anew.
func Bucket(salt, subject string) int { return int(hash(salt+":"+subject) % Full) }

// hash is murmur3_x86_32 with seed 0.
func hash(text string) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	var h, k uint32
	whole := len(text) &^ 3
	for at := 0; at < whole; at += 4 {
		k = uint32(text[at]) | uint32(text[at+1])<<8 | uint32(text[at+2])<<16 | uint32(text[at+3])<<24
		h ^= bits.RotateLeft32(k*c1, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	k = 0
	for at := len(text) - 1; at >= whole; at-- {
		k = k<<8 | uint32(text[at])
	}
	h ^= bits.RotateLeft32(k*c1, 15) * c2
	h ^= uint32(len(text))
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}
