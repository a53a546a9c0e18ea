// Arm's I8MM: usmmla multiplies 2 pairs x 8 inputs by 2 outputs x 8 inputs. Build with -march=armv8.2-a+i8mm.
#include <arm_neon.h>
#include <sys/auxv.h>

#include "forward.hpp"

namespace {

struct I8mm {
    static constexpr int TILE = 10, TOGETHER = 2;  // 5 x 4 sums; with 6 x 4 gcc 12 spills two

    static F max(F a, F b) { return a > b ? a : b; }
    static F min(F a, F b) { return a < b ? a : b; }
    static float highest(F v) {
        for (int i = 1; i < 16; i++) v[0] = v[i] > v[0] ? v[i] : v[0];
        return v[0];
    }
    static F fma(F a, F b, F c) {
        for (int i = 0; i < 16; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
        return c;
    }
    static F widen(const uint8_t *p) { return __builtin_convertvector(*(const Bu *)p, F); }

    // The codes of two pairs alternate in groups of 8, as usmmla reads them.
    static void store(uint8_t *codes, int r, int k, I wide) {
        B v = __builtin_convertvector(wide, B);
        uint8_t *to = codes + (size_t)(r & ~1) * STRIDE + 2 * k + (r & 1) * 8;
        __builtin_memcpy(to, &v, 8);
        __builtin_memcpy(to + 16, (const uint8_t *)&v + 8, 8);
    }

    template <int TWOS>
    [[gnu::noinline]] static void tile(const uint8_t *a, const int8_t *b, int steps, int count, int32_t *sums) {
        int32x4_t acc[TWOS][4];
#pragma GCC unroll 5
        for (int i = 0; i < TWOS; i++)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) acc[i][j] = vdupq_n_s32(0);
        for (int step = 0; step < steps; step++) {
            int8x16_t w[4];
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) w[j] = vld1q_s8(b + 16 * j);
#pragma GCC unroll 5
            for (int i = 0; i < TWOS; i++) {
                uint8x16_t two = vld1q_u8(a + (size_t)i * 2 * STRIDE);
#pragma GCC unroll 4
                for (int j = 0; j < 4; j++) acc[i][j] = vusmmlaq_s32(acc[i][j], two, w[j]);
            }
            a += 16, b += 64;
        }
#pragma GCC unroll 5
        for (int i = 0; i < TWOS; i++)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                vst1_s32(sums + 2 * i * PANEL + 2 * j, vget_low_s32(acc[i][j]));
                if (2 * i + 1 < count) vst1_s32(sums + (2 * i + 1) * PANEL + 2 * j, vget_high_s32(acc[i][j]));
            }
    }

    template <int TWOS>
    static void choose(int count, const uint8_t *a, const int8_t *b, int steps, int32_t *sums) {
        if ((count + 1) / 2 == TWOS) return tile<TWOS>(a, b, steps, count, sums);
        if constexpr (TWOS > 1) choose<TWOS - 1>(count, a, b, steps, sums);
    }

    template <class Beside>
    static void run(int count, const uint8_t *codes, int first, int from, int to, int inputs, const int8_t *panel,
                    const int8_t *, int, int32_t *sums, Beside &) {
        for (int eight = 0; eight < PANEL / 8; eight++)
            choose<TILE / 2>(count, codes + (size_t)first * STRIDE + 2 * from, panel + 8 * (eight * inputs + from),
                             (to - from) / 8, sums + 8 * eight);
    }
};

bool here() { return getauxval(AT_HWCAP2) & (1 << 13); }

// [outputs, inputs] -> [outputs / 8, inputs / 8, 8, 8].
void pack(const int8_t *codes, int outputs, int inputs, int8_t *packed) {
    for (int n = 0; n < outputs; n++)
        for (int k = 0; k < inputs; k++)
            packed[(size_t)(n / 8) * 8 * inputs + k / 8 * 64 + n % 8 * 8 + k % 8] = codes[(size_t)n * inputs + k];
}

}  // namespace

const Set I8MM = {"i8mm", here, pack, forward<I8mm>};
