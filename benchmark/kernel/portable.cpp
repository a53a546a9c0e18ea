// Plain C++, to check the other instruction sets against. It is slow, so no engine chooses it.
#include "forward.hpp"

namespace {

struct Plain {
    static constexpr int TILE = 4, TOGETHER = 1;

    static F max(F a, F b) { return a > b ? a : b; }
    static F min(F a, F b) { return a < b ? a : b; }
    static float highest(F v) {
        for (int i = 1; i < 16; i++) v[0] = v[i] > v[0] ? v[i] : v[0];
        return v[0];
    }
    static F fma(F a, F b, F c) {
        for (int i = 0; i < 16; i++) c[i] = fmaf(a[i], b[i], c[i]);
        return c;
    }
    static F widen(const uint8_t *p) { return __builtin_convertvector(*(const Bu *)p, F); }
    static void store(uint8_t *codes, int r, int k, I v) {
        *(Bu *)(codes + (size_t)r * STRIDE + k) = __builtin_convertvector(v, B);
    }

    template <class Beside>
    static void run(int count, const uint8_t *codes, int first, int from, int to, int, const int8_t *panel,
                    const int8_t *, int, int32_t *to_sums, Beside &) {
        for (int r = 0; r < count; r++) {
            const uint8_t *a = codes + (size_t)(first + r) * STRIDE;
            int32_t sums[PANEL] = {};
            for (int k = from; k < to; k += 4)
                for (int n = 0; n < PANEL; n++)
                    for (int i = 0; i < 4; i++) sums[n] += a[k + i] * panel[k * PANEL + 4 * n + i];
            __builtin_memcpy(to_sums + r * PANEL, sums, sizeof sums);
        }
    }
};

bool here() { return true; }

// [outputs, inputs] -> [outputs / 32, inputs / 4, 32, 4].
void pack(const int8_t *codes, int outputs, int inputs, int8_t *packed) {
    for (int n = 0; n < outputs; n++)
        for (int k = 0; k < inputs; k++)
            packed[(size_t)(n / PANEL) * PANEL * inputs + k / 4 * 4 * PANEL + n % PANEL * 4 + k % 4] =
                codes[(size_t)n * inputs + k];
}

}  // namespace

const Set PORTABLE = {"portable", here, pack, forward<Plain>};
