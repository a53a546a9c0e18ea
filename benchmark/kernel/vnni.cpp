// AVX512-VNNI. Build with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni.
#include <immintrin.h>

#include "forward.hpp"

namespace {

struct Vnni {
    static constexpr int TILE = 12, TOGETHER = 1;  // 24 sums, 2 of weights, 1 of activations; 5 registers for results
    static constexpr int TURN = 8;                 // steps in a turn: each layer's inputs are whole turns

    static F max(F a, F b) { return (F)_mm512_max_ps((__m512)a, (__m512)b); }
    static F min(F a, F b) { return (F)_mm512_min_ps((__m512)a, (__m512)b); }
    static float highest(F v) { return _mm512_reduce_max_ps((__m512)v); }
    static F fma(F a, F b, F c) { return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
    static F widen(const uint8_t *p) {
        return (F)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
    }
    static void store(uint8_t *codes, int r, int k, I v) {
        _mm_storeu_si128((__m128i *)(codes + (size_t)r * STRIDE + k), _mm512_cvtepi32_epi8((__m512i)v));
    }

    // Inline assembly: gcc 12 spills the sums with the intrinsic, and also if a loop is not unrolled.
    template <int R, class Beside>
    [[gnu::noinline]] static void tile(const uint8_t *a, const int8_t *b, int steps, const int8_t *soon, int soon_step,
                                       int32_t *sums, Beside &beside) {
        __m512i low[R], high[R];
#pragma GCC unroll 12
        for (int r = 0; r < R; r++) low[r] = high[r] = _mm512_setzero_si512();
        for (int turn = 0; turn < steps / TURN; turn++) {
            beside.next();
            for (int step = 0; step < TURN; step++) {
                __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 64);
                _mm_prefetch(soon, _MM_HINT_T1);
#pragma GCC unroll 12
                for (int r = 0; r < R; r++) {
                    __m512i four = _mm512_set1_epi32(*(const int32_t *)(a + r * STRIDE));
                    asm("vpdpbusd %2, %1, %0" : "+v"(low[r]) : "v"(four), "v"(b0));
                    asm("vpdpbusd %2, %1, %0" : "+v"(high[r]) : "v"(four), "v"(b1));
                }
                a += 4, b += 128, soon += soon_step;
            }
        }
#pragma GCC unroll 12
        for (int r = 0; r < R; r++) {
            _mm512_store_si512(sums + r * PANEL, low[r]);
            _mm512_store_si512(sums + r * PANEL + 16, high[r]);
        }
    }

    template <int R, class Beside>
    static void choose(int count, const uint8_t *a, const int8_t *b, int steps, const int8_t *soon, int by,
                       int32_t *sums, Beside &beside) {
        if (count == R) return tile<R>(a, b, steps, soon, by, sums, beside);
        if constexpr (R > 1) choose<R - 1>(count, a, b, steps, soon, by, sums, beside);
    }

    template <class Beside>
    static void run(int count, const uint8_t *codes, int first, int from, int to, int, const int8_t *panel,
                    const int8_t *soon, int soon_step, int32_t *sums, Beside &beside) {
        choose<TILE>(count, codes + (size_t)first * STRIDE + from, panel + from * PANEL, (to - from) / 4, soon,
                     soon_step, sums, beside);
    }
};

bool here() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

}  // namespace

const Set VNNI = {"avx512_vnni", here, PORTABLE.pack, forward<Vnni>};
