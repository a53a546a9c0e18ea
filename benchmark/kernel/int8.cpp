// The library's C interface: a model is made once from the int8 file's arrays, then scores pairs.
#include "int8.h"

#include <string.h>
#include <sys/mman.h>

#include <new>

namespace {

#if defined(__x86_64__)
const Set *const SETS[] = {&VNNI, &PORTABLE};
#elif defined(__aarch64__)
const Set *const SETS[] = {&I8MM, &PORTABLE};
#else
const Set *const SETS[] = {&PORTABLE};
#endif

// Zeroed memory, aligned to pages, in huge pages if the operating system gives them; null if there is none.
char *reserve(size_t bytes) {
    void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return nullptr;
    madvise(at, bytes, MADV_HUGEPAGE);
    return static_cast<char *>(at);
}

}  // namespace

// A layer as dlrm_new gets it, in the order of the forward. All arrays but codes must outlive the model.
struct Given {
    const int8_t *codes;  // [outputs, inputs]
    const float *scale, *bias;
    int32_t inputs, outputs, relu, kind;
};

extern "C" {

// Name of this CPU's number-th instruction set, fastest first; null after the last.
const char *dlrm_set(int number) {
    for (const Set *set : SETS)
        if (set->here() && number-- == 0) return set->name;
    return nullptr;
}

// A model; null if memory is short or the CPU lacks the instruction set.
// tables: 26 arrays of rows of 136 bytes; first_weight [512, 13], first_bias [512], last_weight [256].
void *dlrm_new(const char *set_name, int most, const Given *given, const uint8_t *const *tables,
               const int64_t *table_rows, const float *first_weight, const float *first_bias,
               const float *last_weight, float last_bias) {
    const Set *set = nullptr;
    for (const Set *each : SETS)
        if (!strcmp(each->name, set_name) && each->here()) set = each;
    Model *m = set ? new (std::nothrow) Model{} : nullptr;
    if (!m) return nullptr;
    size_t weights = 0, sums = 0;
    for (int n = 0; n < LAYERS; n++) {
        weights += (size_t)given[n].inputs * given[n].outputs;
        sums += 2 * (size_t)given[n].outputs;
    }
    size_t fixed = weights + 4 * sums + 4 * DENSE * HIDDEN;
    m->scratch_bytes = fixed + (size_t)(most + 2) * (STRIDE + 4 * (2 * WIDTH + WIDEST + 3 * 16) + 2 * 64 + 32) + (1 << 20);
    char *at = reserve(m->scratch_bytes);
    if (!at) {
        delete m;
        return nullptr;
    }
    m->memory = at;
    m->set = set;
    m->most = most;
    for (int n = 0; n < LAYERS; n++) {
        const Given &g = given[n];
        bool split = g.inputs == WIDTH;  // model.py: the bottom MLP's columns have a scale of their own
        Layer &l = m->layers[n] = {g.inputs, g.outputs, 1 + split, g.relu, (Kind)g.kind, {0, g.inputs, 0}, nullptr,
                                   nullptr,  g.scale,   g.bias};
        if (split) l.border[1] = DIM, l.border[2] = g.inputs;
        l.packed = (int8_t *)at;
        at += (size_t)g.inputs * g.outputs;
        set->pack(g.codes, g.outputs, g.inputs, l.packed);
    }
    for (int n = 0; n < LAYERS; n++) {
        Layer &l = m->layers[n];
        l.sums = (int32_t *)at;
        at += 8 * (size_t)l.outputs;
        for (int part = 0; part < l.parts; part++)
            for (int o = 0; o < l.outputs; o++)
                for (int k = l.border[part]; k < l.border[part + 1]; k++)
                    l.sums[part * l.outputs + o] += given[n].codes[(size_t)o * l.inputs + k];
    }
    m->first_weight = (float *)at;
    at += 4 * DENSE * HIDDEN;
    for (int o = 0; o < HIDDEN; o++)
        for (int k = 0; k < DENSE; k++) m->first_weight[k * HIDDEN + o] = first_weight[o * DENSE + k];
    m->first_bias = first_bias, m->last_weight = last_weight, m->last_bias = last_bias;
    m->scratch = m->memory + (fixed + 4095) / 4096 * 4096;
    for (int table = 0, column = 0; table < TABLES; table++)
        for (int hot = 0; hot < HOT[table]; hot++, column++)
            m->table[column] = tables[table], m->table_rows[column] = table_rows[table];
    return m;
}

// Scores [rows] of dense [rows, 13] and ids [rows, 214]; 0, or 1 + the position of an id beyond its table.
// A pair whose values are not finite scores NaN.
long dlrm_forward(const void *model, const float *dense, const int32_t *ids, int rows, float *scores) {
    const Model &m = *static_cast<const Model *>(model);
    for (int first = 0; first < rows; first += m.most) {
        int count = rows - first < m.most ? rows - first : m.most;
        long wrong = m.set->forward(m, dense + (size_t)first * DENSE, ids + (size_t)first * IDS, count, scores + first);
        if (wrong) return (long)first * IDS + wrong;
    }
    return 0;
}

void dlrm_free(void *model) {
    Model *m = static_cast<Model *>(model);
    munmap(m->memory, m->scratch_bytes);
    delete m;
}
}
