// Scores of made-up weights and pairs by every instruction set of this CPU: must be equal in all bits, whatever the
// batch. Prints one line each with a hash, equal between machines too. Exits 1 at the first difference. For arm64
// under emulation:
//   aarch64-linux-gnu-g++ -std=c++17 -O2 -ffp-contract=off -static -o equality equality.cpp LIBRARY_OBJECTS && qemu-aarch64-static -cpu max ./equality
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "../kernel/int8.h"

struct Given {
    const int8_t *codes;
    const float *scale, *bias;
    int32_t inputs, outputs, relu, kind;
};
extern "C" const char *dlrm_set(int);
extern "C" void *dlrm_new(const char *, int, const Given *, const uint8_t *const *, const int64_t *, const float *,
                          const float *, const float *, float);
extern "C" long dlrm_forward(const void *, const float *, const int32_t *, int, float *);
extern "C" void dlrm_free(void *);

static uint64_t state = 1;
static uint32_t draw() { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; }
static float uniform(float low, float high) { return low + (high - low) * (draw() / 2147483648.0f); }
static std::vector<float> floats(int count, float low, float high) {
    std::vector<float> values(count);
    for (float &v : values) v = uniform(low, high);
    return values;
}

int main() {
    const int inputs[LAYERS] = {512, 256, WIDTH, 512, WIDTH, 512, WIDTH, 512, WIDTH, 1024, 1024, 512};
    const int outputs[LAYERS] = {256, DIM, 512, WIDTH, 512, WIDTH, 512, WIDTH, 1024, 1024, 512, 256};
    constexpr int PAIRS = 37, ROWS = 50;
    Given given[LAYERS];
    std::vector<std::vector<int8_t>> codes(LAYERS);
    std::vector<std::vector<float>> scales(LAYERS), biases(LAYERS);
    for (int n = 0; n < LAYERS; n++) {
        codes[n].resize(inputs[n] * outputs[n]);
        for (int8_t &c : codes[n]) c = (int)(draw() % 255) - 127;
        float step = 1.6f / 127 / sqrtf(inputs[n]);
        scales[n] = floats(outputs[n], 0.5f * step, 1.5f * step);
        biases[n] = floats(outputs[n], -0.1f, 0.1f);
        bool cross = n >= 2 && n < 2 + 2 * CROSS;
        int kind = inputs[n] == WIDTH ? ANY : cross ? SYMMETRIC : RELU;
        given[n] = {codes[n].data(), scales[n].data(), biases[n].data(), inputs[n], outputs[n], !cross, kind};
    }
    std::vector<uint8_t> rows(ROWS * ROW_BYTES);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < DIM; c++) rows[r * ROW_BYTES + c] = draw() % 256;
        float ends[2] = {uniform(0.001f, 0.003f), uniform(-0.4f, -0.1f)};
        memcpy(&rows[r * ROW_BYTES + DIM], ends, 8);
    }
    const uint8_t *tables[TABLES];
    int64_t counts[TABLES];
    for (int t = 0; t < TABLES; t++) tables[t] = rows.data(), counts[t] = ROWS;
    std::vector<float> first = floats(HIDDEN * DENSE, -0.3f, 0.3f), bias = floats(HIDDEN, -0.1f, 0.1f);
    std::vector<float> last = floats(LAST, -0.1f, 0.1f), dense = floats(PAIRS * DENSE, 0, 5);
    std::vector<int32_t> ids(PAIRS * IDS);
    for (int32_t &id : ids) id = draw() % ROWS;

    std::vector<float> wanted;
    for (int number = 0; const char *name = dlrm_set(number); number++)
        for (int most : {1, 9, 64}) {
            void *model = dlrm_new(name, most, given, tables, counts, first.data(), bias.data(), last.data(), -1);
            std::vector<float> scores(PAIRS);
            if (!model || dlrm_forward(model, dense.data(), ids.data(), PAIRS, scores.data())) return 1;
            dlrm_free(model);
            uint64_t hash = 14695981039346656037u;
            for (float score : scores) {
                uint32_t bits;
                memcpy(&bits, &score, 4);
                hash = (hash ^ bits) * 1099511628211u;
            }
            printf("%s, %d at a time: %016llx, first %.9g\n", name, most, (unsigned long long)hash, scores[0]);
            if (wanted.empty()) wanted = scores;
            if (scores != wanted) return 1;
        }
}
