// Shapes of DLRM-DCNv2, and what the files of the instruction sets share.
#pragma once
#include <stddef.h>
#include <stdint.h>

constexpr int DENSE = 13, HIDDEN = 512, DIM = 128, TABLES = 26, IDS = 214, WIDTH = 27 * DIM, LAST = 256;
constexpr int CROSS = 3, OVERS = 4, LAYERS = 2 + 2 * CROSS + OVERS, WIDEST = 1024;
constexpr int HOT[TABLES] = {3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1};
constexpr int ROW_BYTES = DIM + 8;  // codes, scale, smallest value
constexpr int PANEL = 32;           // outputs that a tile computes
constexpr int STRIDE = WIDTH + 64;  // an odd number of cache lines: rows of a tile fall into different sets
constexpr int AHEAD = 64;           // embedding rows prefetched ahead, fewer than a pair has

enum Kind : int32_t { ANY, SYMMETRIC, RELU };

struct Layer {
    int32_t inputs, outputs, parts, relu;
    Kind kind;
    int32_t border[3];
    int8_t *packed;      // inputs * outputs, in the order of Set::pack
    int32_t *sums;       // [parts, outputs]: sums of the weights' codes
    const float *scale, *bias;
};

struct Model {
    int32_t most;  // most pairs of a call
    Layer layers[LAYERS];
    const uint8_t *table[IDS];  // by column of ids
    uint32_t table_rows[IDS];
    float *first_weight;  // [13, 512]: transposed
    const float *first_bias, *last_weight;
    float last_bias;
    char *memory, *scratch;  // all memory; its part for activations
    size_t scratch_bytes;
    const struct Set *set;
};

// One instruction set. `here`: whether this CPU has it; `pack` gets the weights' codes [outputs, inputs].
struct Set {
    const char *name;
    bool (*here)();
    void (*pack)(const int8_t *codes, int outputs, int inputs, int8_t *packed);
    long (*forward)(const Model &, const float *dense, const int32_t *ids, int rows, float *scores);
};
extern const Set PORTABLE;
#if defined(__x86_64__)
extern const Set VNNI;
#elif defined(__aarch64__)
extern const Set I8MM;
#endif
