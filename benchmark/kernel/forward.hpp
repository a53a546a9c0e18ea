// The int8 forward of DLRM-DCNv2 for one instruction set, with the arithmetic of int8/model.py, operation by operation.
// vnni.cpp, i8mm.cpp and portable.cpp include it once each. They define the template argument Isa:
//   TILE       most pairs of one tile, which begins at a multiple of TOGETHER
//   pack()     orders a layer's weights for run()
//   run()      int32 sums of a tile's pairs x PANEL outputs, as [TILE, PANEL]; meanwhile it may call next() of the
//              work interleaved with the product
//   store()    writes 16 codes of a pair to their place
// Every step keeps pairs apart and is either exact or in a fixed order, so a score has the same bits in any batch and
// with any instruction set. Compiled with -ffp-contract=off: only fma() gives an FMA.
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
inline void store(int32_t *p, I v) { *(Iu *)p = v; }
inline F all(float v) { return v - F{}; }
inline F floats(I v) { return __builtin_convertvector(v, F); }

constexpr float ROUND = 3 << 22;  // model.py
constexpr float STEPS = 253;

constexpr int SOON = 4;  // how many pairs ahead Results prefetches

// Added to a code to make it a byte; even, so that halves are rounded as without it.
constexpr int BYTE = 128;

// Floats from one pair's activations to the next pair's. Without the added 16, eight pairs of WIDTH floats are whole
// pages, and a store delays loads from the same offset in other pages.
constexpr size_t room(size_t width) { return width + 16; }

// A range is one register: lanes 0-7 hold highest values, 8-15 negated lowest ones; after a ReLU all hold highest ones.
constexpr I FIRST = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}, SECOND = FIRST + 8;
template <class Isa>
inline F range_of(F high, F low) {
    return Isa::max(__builtin_shuffle(high, -low, FIRST), __builtin_shuffle(high, -low, SECOND));
}

// Scale, its inverse, the shift that rounds, and zero point (of bytes) of one pair's part of a layer's input.
struct Row {
    float scale, inverse, shift;
    int32_t zero;
};

// Computes a tile's results from its sums, pair by pair, interleaved with the next tile's product, which leaves part of
// the core idle. KIND: of the layer's input; RELUS: results below 0 become 0. Results of a cross layer's second product
// are multiplied by `crossed`, then added to `from`.
template <class Isa, Kind KIND, bool RELUS>
struct Results {
    static constexpr bool CROSSED = KIND == SYMMETRIC;
    int count, made;                // pairs of the tile; pairs whose results are computed
    const int32_t *sums;            // [TILE, PANEL]
    const int32_t *bottom_sums;     // for ANY: [TILE, PANEL] of the first part
    const int32_t *weight_sums[2];  // by part
    size_t outputs;                 // of the layer
    const float *scale, *bias, *from, *crossed;
    float *to;
    F *range;           // [TILE]
    const Row *row[2];  // by part: [TILE]

    // Offset of pair i's values in from, crossed and to.
    [[gnu::always_inline]] size_t at(int i) const { return i * room(CROSSED ? WIDTH : outputs); }

    // Prefetch what pair i needs; there may be no such pair.
    [[gnu::always_inline]] void prefetch(int i) const {
        for (int c = 0; c < PANEL; c += 16) {
            __builtin_prefetch(to + at(i) + c, 1);
            if (CROSSED) __builtin_prefetch(crossed + at(i) + c);
        }
        __builtin_prefetch(range + i, 1);
    }

    void begin() const {
        for (int i = 0; i < SOON; i++) prefetch(i);
    }

    [[gnu::always_inline]] void next() {
        if (made == count) return;
        const int i = made++;
        prefetch(i + SOON);
        F y = half(i, 0), z = half(i, 16);
        F seen = RELUS ? Isa::max(y, z) : range_of<Isa>(Isa::max(y, z), Isa::min(y, z));
        range[i] = Isa::max(range[i], seen);
    }

    void rest() {
        while (made < count) next();
    }

    // Results c to c + 15 of pair i in this tile.
    [[gnu::always_inline]] F half(int i, int c) const {
        I sum = load(sums + i * PANEL + c);
        F y;
        if (KIND == ANY) {
            I bottom = load(bottom_sums + i * PANEL + c) - row[0][i].zero * load(weight_sums[0] + c);
            y = floats(bottom) * row[0][i].scale;
            sum -= row[1][i].zero * load(weight_sums[1] + c);
            y += floats(sum) * row[1][i].scale;
        } else {
            sum -= load(weight_sums[0] + c) * (KIND == SYMMETRIC ? BYTE : BYTE - 127);
            y = floats(sum) * row[0][i].scale;
        }
        y = Isa::fma(y, load(scale + c), load(bias + c));  // torch.addcmul's rounding: once
        if (RELUS) y = Isa::max(F{}, y);
        if (CROSSED) y = Isa::fma(load(crossed + at(i) + c), y, load(from + at(i) + c));
        store(to + at(i) + c, y);
        return y;
    }
};

// Work interleaved with a matrix product: none.
struct Nothing {
    void next() {}
};

template <class Isa>
struct Forward {
    const Model &m;
    uint8_t *codes;       // [rows, STRIDE]
    float *x0, *x, *out;  // [rows, room(WIDTH)], [rows, room(WIDTH)], [rows, room(WIDEST)]
    F *range;             // [2 parts, rows]
    Row *row;             // [2 parts, rows]
    int rows;

    Row row_of(Kind kind, int part, int r) {
        F seen = range[part * m.most + r];
        float top = Isa::highest(kind == RELU ? seen : __builtin_shuffle(seen, seen, FIRST));
        float bottom = -Isa::highest(__builtin_shuffle(seen, seen, SECOND));
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
                const F inverse = all(it.inverse), shift = all(it.shift);
                const float *pair = from + r * room(width);
                // Local copies: otherwise each byte written might have changed them.
                uint8_t *to = codes;
                const int end = layer.border[part + 1];
                for (int k = layer.border[part]; k < end; k += 16) {
                    F scaled = load(pair + k) * inverse + shift;
                    Isa::store(to, r, k, (I)scaled);
                }
            }
    }

    void forget_ranges() {
        for (int i = 0; i < 2 * m.most; i++) range[i] = all(-INFINITY);
    }

    // One layer. `crossed`: the result is multiplied by it, then added to `from`; null for other layers.
    void linear(const Layer &layer, const float *from, float *to, const float *crossed) {
        quantize(layer, crossed ? out : from, layer.inputs);
        forget_ranges();
        if (layer.kind == SYMMETRIC) panels<SYMMETRIC, false>(layer, from, to, crossed);
        else if (layer.kind == RELU) panels<RELU, true>(layer, from, to, from);
        else if (layer.relu) panels<ANY, true>(layer, from, to, from);
        else panels<ANY, false>(layer, from, to, from);
    }

    template <Kind KIND, bool RELUS>
    void panels(const Layer &layer, const float *from, float *to, const float *crossed) {
        // Sums of a tile and of the tile before it.
        alignas(64) int32_t sums[2][Isa::TILE * PANEL], bottom_sums[2][Isa::TILE * PANEL];
        Results<Isa, KIND, RELUS> before{};
        Nothing nothing;
        int now = 0;
        // All tiles have the same number of pairs; the first `more` tiles have TOGETHER pairs more.
        const int tiles = (rows + Isa::TILE - 1) / Isa::TILE, groups = (rows + Isa::TOGETHER - 1) / Isa::TOGETHER;
        const int each = groups / tiles, more = groups % tiles;
        const size_t panel = (size_t)PANEL * layer.inputs, soon_tile = panel / tiles;
        const int soon_step = (128 + tiles - 1) / tiles;
        for (int output = 0; output < layer.outputs; output += PANEL) {
            const int8_t *weights = layer.packed + (size_t)output * layer.inputs;
            const int part = KIND == SYMMETRIC && output >= DIM;
            for (int tile = 0, first = 0; tile < tiles; tile++) {
                int count = Isa::TOGETHER * (each + (tile < more));
                if (count > rows - first) count = rows - first;
                // The next panel is prefetched while this one is computed.
                const int8_t *soon = weights + panel + tile * soon_tile;
                const size_t at = first * room(layer.outputs) + output;
                if (KIND == ANY)
                    Isa::run(count, codes, first, 0, layer.border[1], layer.inputs, weights, soon, soon_step,
                             bottom_sums[now], nothing);
                Isa::run(count, codes, first, layer.border[layer.parts - 1], layer.inputs, layer.inputs, weights, soon,
                         soon_step, sums[now], before);
                before.rest();
                before = {count, 0, sums[now], bottom_sums[now],
                          {layer.sums + output, layer.sums + layer.outputs + output},
                          (size_t)layer.outputs, layer.scale + output, layer.bias + output, from + at, crossed + at,
                          to + at, range + part * m.most + first, {row + first, row + m.most + first}};
                before.begin();
                now = !now;
                first += count;
            }
        }
        before.rest();
    }

    // The first layer in fp32, inputs added in their order: dense [rows, 13] -> out [rows, 512].
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
                    store(out + r * room(HIDDEN) + at + 16 * j, y);
                    range[r] = Isa::max(range[r], y);
                }
            }
    }

    // Addresses of a pair's rows in `found`; false if an id is beyond its table.
    bool find(const int32_t *ids, const uint8_t **found) {
        bool wrong = false;
        for (int i = 0; i < IDS; i++) {
            wrong |= (uint32_t)ids[i] >= m.table_rows[i];
            found[i] = m.table[i] + (uint64_t)(uint32_t)ids[i] * ROW_BYTES;
        }
        return !wrong;
    }

    // 1 + the position of the first id beyond its table; there must be one.
    long wrong_id(const int32_t *ids) {
        long at = 0;
        while ((uint32_t)ids[at] < m.table_rows[at % IDS]) at++;
        return 1 + at;
    }

    // Prefetch a row, but not for long: it is seldom used again soon, and other data must stay in the caches.
    static void ask(const uint8_t *row) {
        for (int byte = 0; byte < DIM; byte += 64) __builtin_prefetch(row + byte, 0, 0);
        __builtin_prefetch(row + ROW_BYTES - 1, 0, 0);
    }

    // Sums of the chosen rows into x0; returns 0, or 1 + the position of an id beyond its table.
    long embed(const int32_t *ids) {
        const uint8_t *found[2 * IDS];  // rows of this pair and of the next one
        if (!find(ids, found)) return wrong_id(ids);
        for (int i = 0; i < AHEAD; i++) ask(found[i]);
        for (int r = 0; r < rows; r++) {
            const size_t following = r + 1 < rows ? r + 1 : r;
            if (!find(ids + following * IDS, found + IDS)) return wrong_id(ids);
            float *to = x0 + r * room(WIDTH);
            for (int c = 0; c < DIM; c += 16)  // The bottom MLP's outputs are already there.
                range[r] = Isa::max(range[r], range_of<Isa>(load(to + c), load(to + c)));
            F h = all(-INFINITY), l = all(INFINITY), wrong{};
            const uint8_t *const *next = found;
            for (int table = 0; table < TABLES; table++) {
                F acc[DIM / 16] = {};
                for (const uint8_t *const *end = next + HOT[table]; next < end; next++) {
                    ask(next[AHEAD]);
                    float ends[2];
                    __builtin_memcpy(ends, *next + DIM, 8);
                    F scale = all(ends[0]), low_end = all(ends[1]);
                    for (int c = 0; c < DIM / 16; c++)
                        acc[c] = Isa::fma(scale, Isa::widen(*next + 16 * c), acc[c] + low_end);
                }
                to += DIM;
                for (int c = 0; c < DIM / 16; c++) {
                    store(to + 16 * c, acc[c]);
                    h = Isa::max(h, acc[c]);
                    l = Isa::min(l, acc[c]);
                    wrong += acc[c] * 0.0f;  // NaN if acc is NaN or infinity
                }
            }
            float nan = 0;
            for (int i = 0; i < 16; i++) nan += wrong[i];
            range[m.most + r] = isnan(nan) ? all(INFINITY) : range_of<Isa>(h, l);
            __builtin_memcpy(found, found + IDS, sizeof(found) / 2);
        }
        return 0;
    }

    long run(const float *dense, const int32_t *ids, float *scores) {
        first_layer(dense);
        const Layer *layer = m.layers;
        linear(*layer++, out, out, nullptr);
        // The second layer's results are x0's first columns: written with their own stride, then moved.
        linear(*layer++, out, out, nullptr);
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < DIM; c += 16) store(x0 + r * room(WIDTH) + c, load(out + r * room(DIM) + c));
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
                sum[c] = load(out + r * room(LAST) + 16 * c) * load(m.last_weight + 16 * c);
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
    Forward<Isa> f{m, (uint8_t *)take((n + 2) * STRIDE), (float *)take(n * room(WIDTH) * 4),
                   (float *)take(n * room(WIDTH) * 4), (float *)take(n * room(WIDEST) * 4), (F *)take(2 * n * 64),
                   (Row *)take(2 * n * sizeof(Row)), rows};
    return f.run(dense, ids, scores);
}

}  // namespace
