// What one core can do of a precision's multiply-accumulates, and nothing else: peak PRECISION SECONDS prints them a second.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// CPU time: what others take of the core is no part of it.
static double now() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

// 14 independent sums: enough for 2 units of 5 cycles on x86, for 4 of 3 on Arm.
#if defined(__x86_64__)
#include <immintrin.h>
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define VNNI(n) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #n "\n"
#define FMA(n) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #n "\n"
#define BF16(n) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" #n "\n"
#define CLEAR(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n"
#define CLOBBER(n) "xmm" #n,
#define LOOP(BODY) asm volatile(EACH(CLEAR) "vpxord %%zmm15, %%zmm15, %%zmm15\nvpxord %%zmm14, %%zmm14, %%zmm14\n" \
    ".p2align 5\n1:\n" EACH(BODY) "dec %0\njnz 1b\n" : "+r"(times) : : EACH(CLOBBER) "xmm14", "xmm15", "cc")
static void spin_int8(long times) { LOOP(VNNI); }
static void spin_fp32(long times) { LOOP(FMA); }
static void spin_bf16(long times) { LOOP(BF16); }
constexpr double OF_INT8 = 14 * 64, OF_FP32 = 14 * 16, OF_BF16 = 14 * 32;
static bool has(const char *precision) {
    if (!__builtin_cpu_supports("avx512f")) return false;
    if (!strcmp(precision, "int8")) return __builtin_cpu_supports("avx512vnni");
    if (!strcmp(precision, "bf16")) return __builtin_cpu_supports("avx512bf16");
    return true;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define I8MM(n) "usmmla v" #n ".4s, v30.16b, v31.16b\n"
#define FMA(n) "fmla v" #n ".4s, v30.4s, v31.4s\n"
#define BF16(n) "bfmmla v" #n ".4s, v30.8h, v31.8h\n"
#define CLEAR(n) "movi v" #n ".4s, #0\n"
#define CLOBBER(n) "v" #n,
#define LOOP(BODY) asm volatile(".arch armv8.6-a\n" EACH(CLEAR) "movi v30.4s, #0\nmovi v31.4s, #0\n1:\n" EACH(BODY) \
    "subs %0, %0, #1\nb.ne 1b\n" : "+r"(times) : : EACH(CLOBBER) "v30", "v31", "cc")
static void spin_int8(long times) { LOOP(I8MM); }
static void spin_fp32(long times) { LOOP(FMA); }
static void spin_bf16(long times) { LOOP(BF16); }
constexpr double OF_INT8 = 14 * 32, OF_FP32 = 14 * 4, OF_BF16 = 14 * 16;
static bool has(const char *precision) {
    unsigned long more = getauxval(AT_HWCAP2);
    if (!strcmp(precision, "int8")) return more & (1 << 13);
    if (!strcmp(precision, "bf16")) return more & (1 << 14);
    return true;
}
#endif

// Multiply-accumulates a second of CPU time during about `seconds`; 0 where the CPU has no such instruction.
extern "C" double peak(const char *precision, double seconds) {
    if (!has(precision)) return 0;
    void (*spin)(long) = !strcmp(precision, "int8") ? spin_int8 : !strcmp(precision, "bf16") ? spin_bf16 : spin_fp32;
    double each = !strcmp(precision, "int8") ? OF_INT8 : !strcmp(precision, "bf16") ? OF_BF16 : OF_FP32;
    constexpr long TIMES = 20000;
    double began = now(), spent;
    long rounds = 0;
    do {
        spin(TIMES);
        rounds++;
        spent = now() - began;
    } while (spent < seconds);
    return rounds * TIMES * each / spent;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "peak int8|fp32|bf16 SECONDS\n"), 2;
    printf("%.4g\n", peak(argv[1], atof(argv[2])));
}
