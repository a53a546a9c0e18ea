// The int8 forward of DLRM-DCNv2 (int8.py's arithmetic, operation by operation), for one instruction set.
// Included once by each of vnni.cpp, i8mm.cpp and portable.cpp, which define struct Isa before:
//   TILE       most pairs of one tile, which begins at a multiple of TOGETHER
//   pack()     orders a layer's weights for tile()
//   tile<R>()  int32 sums of R pairs x PANEL outputs
//   store()    16 codes of a pair to their place
// Every step keeps pairs apart and is either exact or in a fixed order, so that a score has the same bits
// whatever the batch and the instruction set. Compiled with -ffp-contract=off: an FMA is where fma() stands.
#pragma once
#include <math.h>

#include "int8.h"

namespace {

typedef float F __attribute__((vector_size(64)));
typedef int32_t I __attribute__((vector_size(64)));
typedef uint8_t B __attribute__((vector_size(16)));
typedef float Fu __attribute__((vector_size(64), aligned(4)));
typedef int32_t Iu __attribute__((vector_size(64), aligned(4)));
typedef uint8_t Bu __attribute__((vector_size(16), aligned(1)));

inline F load(const float *p) { return *(const Fu *)p; }
inline I load(const int32_t *p) { return *(const Iu *)p; }
inline void store(float *p, F v) { *(Fu *)p = v; }
inline F all(float v) { return v - F{}; }
inline F floats(I v) { return __builtin_convertvector(v, F); }

constexpr float ROUND = 3 << 22;  // int8.py
constexpr float STEPS = 253;

// A code as a byte; even, so that halves are rounded as without it.
constexpr int BYTE = 128;

// Scale, zero point (of bytes) and what rounds, of one pair's share of a layer's input.
struct Row {
    float scale, inverse, shift;
    int32_t zero;
};

template <class Isa>
struct Forward {
    const Model &m;
    uint8_t *codes;      // [rows, STRIDE]
    float *x0, *x, *out; // [rows, WIDTH], [rows, WIDTH], [rows, WIDEST]
    F *high, *low;       // [2 parts, rows]
    Row *row;            // [2 parts, rows]
    int rows;

    Row row_of(Kind kind, int part, int r) {
        float top = Isa::highest(high[part * m.most + r]), bottom = -Isa::highest(-low[part * m.most + r]);
        bool wrong = !isfinite(top) || (kind != RELU && !isfinite(bottom));
        float reach = top;
        if (kind == SYMMETRIC) reach = (top > -bottom ? top : -bottom) * (float)(253.0 / 127);
        if (kind == ANY) {
            bottom = bottom < 0 ? bottom : 0;
            reach = (top > 0 ? top : 0) - bottom;
        }
        reach = reach > 1e-20f ? reach : 1e-20f;
        // torch computes 253 / x as 253 * (1 / x).
        Row it{reach / STEPS, STEPS * (1 / reach), ROUND + BYTE - 127, BYTE - 127};
        if (wrong || !isfinite(reach)) it.scale = NAN;
        if (kind == SYMMETRIC) it.shift = ROUND + BYTE, it.zero = BYTE;
        if (kind == ANY) {
            float zero = rintf(-127 - bottom * it.inverse);
            it.shift = zero + (ROUND + BYTE);
            it.zero = (int32_t)zero + BYTE;
        }
        return it;
    }

    void quantize(const Layer &layer, const float *from, int width) {
        for (int r = 0; r < rows; r++)
            for (int part = 0; part < layer.parts; part++) {
                Row it = row[part * m.most + r] = row_of(layer.kind, part, r);
                F inverse = all(it.inverse), shift = all(it.shift);
                for (int k = layer.border[part]; k < layer.border[part + 1]; k += 16) {
                    F scaled = load(from + (size_t)r * width + k) * inverse + shift;
                    Isa::store(codes, r, k, (I)scaled);
                }
            }
    }

    void forget_ranges() {
        for (int i = 0; i < 2 * m.most; i++) high[i] = all(-INFINITY), low[i] = all(INFINITY);
    }

    // `width`: of from and of to; `crossed`: what the result is multiplied by, then added to from.
    void linear(const Layer &layer, const float *from, float *to, const float *crossed) {
        quantize(layer, crossed ? out : from, layer.inputs);
        forget_ranges();
        alignas(64) int32_t sums[2][Isa::TILE * PANEL];
        int tiles = (rows + Isa::TILE - 1) / Isa::TILE;
        for (int panel = 0; panel < layer.outputs / PANEL; panel++) {
            const int8_t *weights = layer.packed + (size_t)panel * PANEL * layer.inputs;
            for (int tile = 0, first = 0; tile < tiles; tile++) {
                int count = (rows - first + tiles - tile - 1) / (tiles - tile);
                count = (count + Isa::TOGETHER - 1) / Isa::TOGETHER * Isa::TOGETHER;
                if (count > rows - first) count = rows - first;
                // The next panel comes into the cache while this one is worked on.
                const int8_t *soon = weights + (size_t)PANEL * layer.inputs * (tiles + tile) / tiles;
                if (crossed)
                    for (int r = first; r < first + count; r++)
                        for (int c = 0; c < PANEL; c += 16) {
                            __builtin_prefetch(from + (size_t)r * layer.outputs + panel * PANEL + c);
                            __builtin_prefetch(crossed + (size_t)r * layer.outputs + panel * PANEL + c);
                        }
                for (int part = 0; part < layer.parts; part++)
                    Isa::run(count, codes, first, layer.border[part], layer.border[part + 1], layer.inputs,
                             weights, sums[part], soon, (128 + tiles - 1) / tiles);
                if (layer.parts == 2) finish<ANY, 2>(layer, panel, first, count, sums, from, to, crossed);
                else if (layer.kind == RELU) finish<RELU, 1>(layer, panel, first, count, sums, from, to, crossed);
                else finish<SYMMETRIC, 1>(layer, panel, first, count, sums, from, to, crossed);
                first += count;
            }
        }
    }

    template <Kind KIND, int PARTS>
    inline void finish(const Layer &layer, int panel, int first, int count, const int32_t (*sums)[Isa::TILE * PANEL],
                const float *from, float *to, const float *crossed) {
        int part = crossed && panel >= DIM / PANEL, output = panel * PANEL;
        F scale[2], bias[2];
        I weight_sums[2], others[2]{};
        for (int c = 0; c < 2; c++) {
            scale[c] = load(layer.scale + output + 16 * c), bias[c] = load(layer.bias + output + 16 * c);
            weight_sums[c] = load(layer.sums + output + 16 * c);
            if (KIND == SYMMETRIC) weight_sums[c] *= BYTE;
            if (KIND == RELU) weight_sums[c] *= BYTE - 127;
            if (PARTS == 2) others[c] = load(layer.sums + layer.outputs + output + 16 * c);
        }
        for (int i = 0; i < count; i++) {
            int r = first + i;
            F *high_of = high + part * m.most + r, *low_of = low + part * m.most + r;
            F h = *high_of, l = *low_of;
            for (int c = 0; c < 2; c++) {
                I sum = load(sums[0] + i * PANEL + 16 * c);
                sum -= KIND == ANY ? row[r].zero * weight_sums[c] : weight_sums[c];
                F y = floats(sum) * row[r].scale;
                if (PARTS == 2) {
                    I other = load(sums[1] + i * PANEL + 16 * c) - row[m.most + r].zero * others[c];
                    y += floats(other) * row[m.most + r].scale;
                }
                y = Isa::fma(y, scale[c], bias[c]);  // torch.addcmul's rounding: once
                if (layer.relu) y = Isa::max(F{}, y);
                size_t at = (size_t)r * layer.outputs + output + 16 * c;
                if (crossed) y = Isa::fma(load(crossed + at), y, load(from + at));
                store(to + at, y);
                h = Isa::max(h, y);
                if (!layer.relu) l = Isa::min(l, y);
            }
            *high_of = h, *low_of = l;
        }
    }

    // fp32, inputs in their order: [rows, 13] -> out [rows, 512].
    void first_layer(const float *dense) {
        forget_ranges();
        for (int r = 0; r < rows; r++)
            for (int at = 0; at < HIDDEN; at += 128) {
                F acc[8] = {};
                for (int k = 0; k < DENSE; k++) {
                    F value = all(dense[r * DENSE + k]);
                    for (int j = 0; j < 8; j++)
                        acc[j] = Isa::fma(value, load(m.first_weight + k * HIDDEN + at + 16 * j), acc[j]);
                }
                for (int j = 0; j < 8; j++) {
                    F y = Isa::max(F{}, acc[j] + load(m.first_bias + at + 16 * j));
                    store(out + r * HIDDEN + at + 16 * j, y);
                    high[r] = Isa::max(high[r], y);
                }
            }
    }

    // Sums of the chosen rows; 0, or 1 + the position of an id that its table has not.
    long embed(const int32_t *ids) {
        long count = (long)rows * IDS;
        for (long i = 0; i < count; i++)
            if ((uint32_t)ids[i] >= (uint32_t)m.table_rows[i % IDS]) return 1 + i;
        long ahead = 0;
        int ahead_column = 0;
        auto prefetch = [&] {
            if (ahead == count) return;
            const uint8_t *row = m.table[ahead_column] + (size_t)ids[ahead] * ROW_BYTES;
            for (int byte = 0; byte < DIM; byte += 64) __builtin_prefetch(row + byte);
            __builtin_prefetch(row + ROW_BYTES - 1);
            ahead++;
            if (++ahead_column == IDS) ahead_column = 0;
        };
        for (int i = 0; i < AHEAD; i++) prefetch();
        for (int r = 0; r < rows; r++) {
            float *to = x0 + (size_t)r * WIDTH;
            for (int c = 0; c < DIM; c += 16) {  // The bottom MLP's, already there.
                high[r] = Isa::max(high[r], load(to + c));
                low[r] = Isa::min(low[r], load(to + c));
            }
            F h = all(-INFINITY), l = all(INFINITY), wrong{};
            for (int table = 0, column = 0; table < TABLES; table++) {
                F acc[DIM / 16] = {};
                for (int hot = 0; hot < HOT[table]; hot++, column++) {
                    prefetch();
                    const uint8_t *from = m.table[column] + (size_t)ids[(size_t)r * IDS + column] * ROW_BYTES;
                    float ends[2];
                    __builtin_memcpy(ends, from + DIM, 8);
                    F scale = all(ends[0]), low_end = all(ends[1]);
                    for (int c = 0; c < DIM / 16; c++)
                        acc[c] = Isa::fma(scale, Isa::widen(from + 16 * c), acc[c] + low_end);
                }
                to += DIM;
                for (int c = 0; c < DIM / 16; c++) {
                    store(to + 16 * c, acc[c]);
                    h = Isa::max(h, acc[c]);
                    l = Isa::min(l, acc[c]);
                    wrong += acc[c] * 0.0f;  // NaN of NaN or infinity
                }
            }
            float nan = 0;
            for (int i = 0; i < 16; i++) nan += wrong[i];
            high[m.most + r] = isnan(nan) ? all(INFINITY) : h;
            low[m.most + r] = l;
        }
        return 0;
    }

    long run(const float *dense, const int32_t *ids, float *scores) {
        first_layer(dense);
        const Layer *layer = m.layers;
        linear(*layer++, out, out, nullptr);
        // The second's result is x0's first columns: written narrow, then moved.
        linear(*layer++, out, out, nullptr);
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < DIM; c += 16) store(x0 + (size_t)r * WIDTH + c, load(out + r * DIM + c));
        forget_ranges();
        long wrong = embed(ids);
        if (wrong) return wrong;
        const float *from = x0;
        for (int cross = 0; cross < CROSS; cross++) {
            linear(*layer++, from, out, nullptr);
            linear(*layer++, from, x, x0);
            from = x;
        }
        linear(*layer++, x, out, nullptr);
        for (int over = 1; over < OVERS; over++) linear(*layer++, out, out, nullptr);
        for (int r = 0; r < rows; r++) {
            F sum[LAST / 16];
            for (int c = 0; c < LAST / 16; c++)
                sum[c] = load(out + r * LAST + 16 * c) * load(m.last_weight + 16 * c);
            for (int half = LAST / 32; half; half /= 2)
                for (int c = 0; c < half; c++) sum[c] += sum[c + half];
            for (int half = 8; half; half /= 2)
                for (int i = 0; i < half; i++) sum[0][i] += sum[0][i + half];
            scores[r] = (float)(1 / (1 + exp(-(double)(sum[0][0] + m.last_bias))));
        }
        return 0;
    }
};

template <class Isa>
long forward(const Model &m, const float *dense, const int32_t *ids, int rows, float *scores) {
    char *at = m.scratch;
    auto take = [&](size_t bytes) {
        char *found = at;
        at += (bytes + 4095) / 4096 * 4096;
        return found;
    };
    size_t n = m.most;
    Forward<Isa> f{m, (uint8_t *)take((n + 2) * STRIDE), (float *)take(n * WIDTH * 4), (float *)take(n * WIDTH * 4),
                   (float *)take(n * WIDEST * 4), (F *)take(2 * n * 64), (F *)take(2 * n * 64),
                   (Row *)take(2 * n * sizeof(Row)), rows};
    return f.run(dense, ids, scores);
}

}  // namespace
