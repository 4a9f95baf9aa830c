// CUDA kernels of the primitives, launched by `gpu.py`; `codebooks.ops` documents the primitives.
//
// Conventions. T is the type of values, float or double, and I the type of the indices of a CSR matrix. A CSR matrix is
// passed as `starts` and `stops` of its rows, `indices` and `data`, so that chosen rows need no copy. Kernels "by
// warps" give a row to each warp: blocks are 32 threads wide and any number of warps high. Kernels "by blocks" give a
// row to each block of whole warps, at most 1,024 threads. Strides count elements. Sums over several rows use atomic
// additions in no fixed order, so the last bits may differ between runs.
//
// The file includes nothing, so that NVRTC compiles it anywhere.

typedef long long Long;
typedef unsigned long long Hash;

const int WARP = 32;
const unsigned ALL_LANES = 0xffffffffu;
const int COMPONENTS_PER_LANE = 4;  // of `sparse_products`
const int MOST_WARPS = 32;     // of a block

template <typename T>
__device__ __forceinline__ T infinity();
template <>
__device__ __forceinline__ float infinity<float>() { return __int_as_float(0x7f800000); }
template <>
__device__ __forceinline__ double infinity<double>() { return __longlong_as_double(0x7ff0000000000000LL); }

template <typename T>
__device__ __forceinline__ T larger(T a, T b) { return a > b ? a : b; }

template <typename T>
__device__ __forceinline__ T smaller(T a, T b) { return a < b ? a : b; }

__device__ __forceinline__ Long row_of_warp() { return (Long)blockIdx.x * blockDim.y + threadIdx.y; }

// -- sums and peaks over a warp and over a block; every thread gets the result ---------------------------------------

template <typename T>
__device__ __forceinline__ T warp_sum(T value)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(ALL_LANES, value, apart);
    return value;
}

struct Plus {
    template <typename T>
    __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};

struct Larger {
    template <typename T>
    __device__ __forceinline__ T operator()(T a, T b) const { return larger(a, b); }
};

template <typename T, typename Join>
__device__ T block_join(T value, T nothing, Join join)
{
    __shared__ T parts[MOST_WARPS];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, n_warps = blockDim.x / WARP;
    for (int apart = WARP / 2; apart > 0; apart /= 2) value = join(value, __shfl_xor_sync(ALL_LANES, value, apart));
    if (n_warps == 1) return value;
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    value = lane < n_warps ? parts[lane] : nothing;
    for (int apart = WARP / 2; apart > 0; apart /= 2) value = join(value, __shfl_xor_sync(ALL_LANES, value, apart));
    __syncthreads();  // before the next write to `parts`
    return value;
}

template <typename T>
__device__ T block_sum(T value) { return block_join(value, (T)0, Plus()); }

template <typename T>
__device__ T block_peak(T value) { return block_join(value, -infinity<T>(), Larger()); }

// -- the largest values of a row, one after another: descending, ties to the lower place ------------------------------

template <typename T>
struct Best {
    T value;
    Long place;

    __device__ __forceinline__ bool comes_before(const Best &other) const
    {
        return value > other.value || (value == other.value && place < other.place);
    }
};

const Long NOWHERE = 0x7fffffffffffffffLL;

// Return the best of `values(first) .. values(last - 1)` that ranks after `previous`, to all threads of a block. If
// none is left, its place is NOWHERE.
template <typename T, typename Values>
__device__ Best<T> next_best(const Values &values, Long first, Long last, Best<T> previous)
{
    __shared__ T best_values[MOST_WARPS];
    __shared__ Long best_places[MOST_WARPS];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, n_warps = blockDim.x / WARP;
    Best<T> best = {-infinity<T>(), NOWHERE};
    for (Long place = first + threadIdx.x; place < last; place += blockDim.x) {
        const Best<T> candidate = {values(place), place};
        if (previous.comes_before(candidate) && candidate.comes_before(best)) best = candidate;
    }
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
        const Best<T> other = {
            __shfl_xor_sync(ALL_LANES, best.value, apart), __shfl_xor_sync(ALL_LANES, best.place, apart)};
        if (other.comes_before(best)) best = other;
    }
    if (n_warps == 1) return best;
    if (lane == 0) {
        best_values[warp] = best.value;
        best_places[warp] = best.place;
    }
    __syncthreads();
    for (int other_warp = 0; other_warp < n_warps; other_warp++) {
        const Best<T> other = {best_values[other_warp], best_places[other_warp]};
        if (other.comes_before(best)) best = other;
    }
    __syncthreads();  // before the next write to them
    return best;
}

template <typename T>
__device__ __forceinline__ Best<T> before_all() { return {infinity<T>(), -1}; }

template <typename T>
struct Ranked {  // scores of a row minus handicap; scores that count as equal get the same value
    const T *scores, *handicap;
    T scale, ceiling, peak, lowest;

    __device__ __forceinline__ T operator()(Long component) const
    {
        const T value = scale * scores[component] - (handicap ? handicap[component] : (T)0);
        if (value >= ceiling) return infinity<T>();  // already selected: ranks before all others
        return value >= lowest ? peak : value;
    }
};

// By blocks. Select the k largest of each row of `scores`, scaled and minus a handicap, and store their scores without
// the handicap. Scores within `margin (|value| + *size)` of the largest that is left count as equal to it. `scale`,
// `handicap` and `best` may be null, and `size` if `margin` is 0.
template <typename T>
__global__ void choose(
    const T *scores, Long n_components, const T *scale, const T *handicap, T margin, const T *size, Long k, Long *index,
    T *best)
{
    const Long row = blockIdx.x;
    const T none = infinity<T>();
    Ranked<T> ranked = {scores + row * n_components, handicap, scale ? scale[row] : (T)1, none, none, none};
    Best<T> found = before_all<T>();
    for (Long m = 0; m < k; m++) {
        found = next_best(ranked, 0, n_components, found);
        if (margin > 0 && ranked.peak > found.value && found.value > -none) {  // the first of the next equal scores
            ranked.ceiling = ranked.lowest;
            ranked.peak = found.value;
            ranked.lowest = found.value - margin * (larger(found.value, -found.value) + *size);
            found = next_best(ranked, 0, n_components, Best<T>{found.value, -1});
        }
        if (threadIdx.x == 0) {
            index[row * k + m] = found.place;
            if (best) best[row * k + m] = ranked.scale * ranked.scores[found.place];
        }
    }
}

template <typename T>
struct Entries {
    const T *data;

    __device__ __forceinline__ T operator()(Long place) const { return data[place]; }
};

// By blocks. Store columns and values of the k largest positive entries of each row of a CSR matrix; columns end with
// -1.
template <typename T, typename I>
__global__ void largest_entries(
    const I *starts, const I *stops, const I *indices, const T *data, Long k, Long *columns, T *values)
{
    const Long row = blockIdx.x;
    const Entries<T> entries = {data};
    Best<T> found = before_all<T>();
    for (Long m = 0; m < k; m++) {
        found = next_best(entries, starts[row], stops[row], found);
        const bool is_there = found.place != NOWHERE && found.value > 0;
        if (threadIdx.x == 0) {
            columns[row * k + m] = is_there ? indices[found.place] : -1;
            values[row * k + m] = is_there ? found.value : (T)0;
        }
        if (!is_there) found = {-infinity<T>(), NOWHERE};  // nothing ranks after this
    }
}

// -- lengths ---------------------------------------------------------------------------------------------------------

// By warps.
template <typename T>
__global__ void dense_norms(const T *X, Long n_rows, Long n_columns, Long row_stride, Long column_stride, T *norms)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    double total = 0;
    for (Long j = threadIdx.x; j < n_columns; j += WARP) {
        const double x = X[row * row_stride + j * column_stride];
        total += x * x;
    }
    total = warp_sum(total);
    if (threadIdx.x == 0) norms[row] = sqrt(total);
}

// By warps.
template <typename T, typename I>
__global__ void sparse_norms(const I *starts, const I *stops, const T *data, Long n_rows, T *norms)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    double total = 0;
    for (Long p = starts[row] + threadIdx.x; p < stops[row]; p += WARP) {
        const double x = data[p];
        total += x * x;
    }
    total = warp_sum(total);
    if (threadIdx.x == 0) norms[row] = sqrt(total);
}

// One thread per element. 1 / x, and 0 for 0; x below `least`, for which 1 / x would be infinite, counts as `least`.
template <typename T>
__global__ void reciprocals(const T *norms, Long n, T least, T *out)
{
    const Long i = (Long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = norms[i] > 0 ? 1 / larger(norms[i], least) : (T)0;
}

// -- products and sums of rows ---------------------------------------------------------------------------------------

// By warps, and by tiles of 128 components: `out = X F`, with X sparse and F (features, components) in C order.
template <typename T, typename I>
__global__ void sparse_products(
    const I *starts, const I *stops, const I *indices, const T *data, const T *F, Long n_rows, Long n_components,
    T *out)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    const Long first_component = (Long)blockIdx.y * WARP * COMPONENTS_PER_LANE + threadIdx.x;
    T sums[COMPONENTS_PER_LANE] = {};
#pragma unroll 4
    for (Long p = starts[row]; p < stops[row]; p++) {
        const T x = data[p];
        const T *of_feature = F + (Long)indices[p] * n_components;
#pragma unroll
        for (int m = 0; m < COMPONENTS_PER_LANE; m++) {
            const Long component = first_component + m * WARP;
            if (component < n_components) sums[m] += x * of_feature[component];
        }
    }
#pragma unroll
    for (int m = 0; m < COMPONENTS_PER_LANE; m++) {
        const Long component = first_component + m * WARP;
        if (component < n_components) out[row * n_components + component] = sums[m];
    }
}

// By warps: `out += X' G`, with X sparse, G (rows, components) and `out` (features, components) in C order.
template <typename T, typename I>
__global__ void sparse_accumulate(
    const I *starts, const I *stops, const I *indices, const T *data, const T *G, Long n_rows, Long n_components,
    T *out)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    for (Long p = starts[row]; p < stops[row]; p++) {
        const T x = data[p];
        for (Long component = threadIdx.x; component < n_components; component += WARP) {
            const T g = G[row * n_components + component];
            if (g != 0) atomicAdd(out + (Long)indices[p] * n_components + component, x * g);
        }
    }
}

// By blocks: `out[index[row, m]] += weight[row, m] X[row]`.
template <typename T>
__global__ void scatter_dense(
    const Long *index, const T *weight, Long n_chosen, const T *X, Long n_columns, Long row_stride, Long column_stride,
    T *out, Long out_row_stride, Long out_column_stride)
{
    const Long row = blockIdx.x;
    for (Long m = 0; m < n_chosen; m++) {
        const T w = weight[row * n_chosen + m];
        if (w == 0) continue;
        T *to = out + index[row * n_chosen + m] * out_row_stride;
        for (Long j = threadIdx.x; j < n_columns; j += blockDim.x) {
            const T x = X[row * row_stride + j * column_stride];
            if (x != 0) atomicAdd(to + j * out_column_stride, w * x);
        }
    }
}

// By warps: the same with sparse X.
template <typename T, typename I>
__global__ void scatter_sparse(
    const Long *index, const T *weight, Long n_chosen, const I *starts, const I *stops, const I *indices, const T *data,
    Long n_rows, T *out, Long out_row_stride, Long out_column_stride)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    for (Long m = 0; m < n_chosen; m++) {
        const T w = weight[row * n_chosen + m];
        if (w == 0) continue;
        T *to = out + index[row * n_chosen + m] * out_row_stride;
        for (Long p = starts[row] + threadIdx.x; p < stops[row]; p += WARP) {
            atomicAdd(to + (Long)indices[p] * out_column_stride, w * data[p]);
        }
    }
}

// By blocks: `out[row] = sum over m of weight[row, m] W[index[row, m]]`, with `out` in C order.
template <typename T>
__global__ void gather_dense(
    const Long *index, const T *weight, Long n_chosen, const T *W, Long n_columns, Long row_stride, Long column_stride,
    T *out)
{
    const Long row = blockIdx.x;
    for (Long j = threadIdx.x; j < n_columns; j += blockDim.x) {
        T total = 0;
        for (Long m = 0; m < n_chosen; m++) {
            total += weight[row * n_chosen + m] * W[index[row * n_chosen + m] * row_stride + j * column_stride];
        }
        out[row * n_columns + j] = total;
    }
}

// One thread per element: `out[index[i]] += weight[i]`.
template <typename T>
__global__ void sum_by_index(const Long *index, const T *weight, Long n, double *out)
{
    const Long i = (Long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && weight[i] != 0) atomicAdd(out + index[i], (double)weight[i]);
}

// -- directions ------------------------------------------------------------------------------------------------------

// One thread per element, in the memory order of `out`, with `inner` fastest. Components run along the dimension whose
// `component_of_` is 1.

// `out[k] += weight[k] W[k]`.
template <typename T>
__global__ void blend(
    T *out, Long n_inner, Long n_outer, Long inner_stride, Long outer_stride, Long component_of_inner,
    Long component_of_outer,
    const T *W, Long W_inner_stride, Long W_outer_stride, const T *weight)
{
    const Long element = (Long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= n_inner * n_outer) return;
    const Long inner = element % n_inner, outer = element / n_inner;
    const T w = weight[inner * component_of_inner + outer * component_of_outer];
    out[inner * inner_stride + outer * outer_stride] += w * W[inner * W_inner_stride + outer * W_outer_stride];
}

// `out[k] /= norms[k]`; if the norm is 0, `out[k] = W[k]`.
template <typename T>
__global__ void rescale(
    T *out, Long n_inner, Long n_outer, Long inner_stride, Long outer_stride, Long component_of_inner,
    Long component_of_outer,
    const T *W, Long W_inner_stride, Long W_outer_stride, const T *norms)
{
    const Long element = (Long)blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= n_inner * n_outer) return;
    const Long inner = element % n_inner, outer = element / n_inner;
    const T norm = norms[inner * component_of_inner + outer * component_of_outer];
    T *value = out + inner * inner_stride + outer * outer_stride;
    *value = norm > 0 ? *value / norm : W[inner * W_inner_stride + outer * W_outer_stride];
}

// -- rows of sparse matrices -----------------------------------------------------------------------------------------

// By warps: copy rows to `new_starts`.
template <typename T, typename I>
__global__ void take_sparse(
    const I *starts, const I *stops, const I *indices, const T *data, Long n_rows, const I *new_starts, I *new_indices,
    T *new_data)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    const Long shift = (Long)new_starts[row] - (Long)starts[row];
    for (Long p = starts[row] + threadIdx.x; p < stops[row]; p += WARP) {
        new_indices[p + shift] = indices[p];
        new_data[p + shift] = data[p];
    }
}

__device__ __forceinline__ Hash bits_of(float x) { return (Hash)(unsigned)__float_as_int(x + 0.0f); }
__device__ __forceinline__ Hash bits_of(double x) { return (Hash)__double_as_longlong(x + 0.0); }

// By warps: sum the bits of a row times the factors of its columns. Zeros of either sign add nothing.
template <typename T>
__global__ void dense_hashes(const T *X, Long n_rows, Long n_columns, Long row_stride, Long column_stride,
                             const Hash *factors, Hash *hashes)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    Hash total = 0;
    for (Long j = threadIdx.x; j < n_columns; j += WARP) {
        total += bits_of(X[row * row_stride + j * column_stride]) * factors[j];
    }
    total = warp_sum(total);
    if (threadIdx.x == 0) hashes[row] = total;
}

// By warps.
template <typename T, typename I>
__global__ void sparse_hashes(const I *starts, const I *stops, const I *indices, const T *data, Long n_rows,
                              const Hash *factors, Hash *hashes)
{
    const Long row = row_of_warp();
    if (row >= n_rows) return;
    Hash total = 0;
    for (Long p = starts[row] + threadIdx.x; p < stops[row]; p += WARP) total += bits_of(data[p]) * factors[indices[p]];
    total = warp_sum(total);
    if (threadIdx.x == 0) hashes[row] = total;
}

// By blocks, one query each: `out[query, row] += w * value` for the rows that contain a column of the query. The rows
// of a column differ, so threads synchronise only between columns.
template <typename T, typename I>
__global__ void match_postings(
    const I *query_starts, const I *query_indices, const T *query_data, const I *starts, const I *rows, const T *values,
    Long n_rows, T *out)
{
    const Long query = blockIdx.x;
    T *sums = out + query * n_rows;
    for (Long q = query_starts[query]; q < query_starts[query + 1]; q++) {
        const Long column = query_indices[q];
        for (Long p = starts[column] + threadIdx.x; p < starts[column + 1]; p += blockDim.x) {
            sums[rows[p]] += query_data[q] * values[p];
        }
        __syncthreads();
    }
}

// -- scores to weights -----------------------------------------------------------------------------------------------

// By blocks.
template <typename T>
__global__ void softmax_rows(const T *scores, Long n_columns, T *out)
{
    const Long row = blockIdx.x;
    const T *of_row = scores + row * n_columns;
    T *to = out + row * n_columns;
    T peak = -infinity<T>();
    for (Long j = threadIdx.x; j < n_columns; j += blockDim.x) peak = larger(peak, of_row[j]);
    peak = block_peak(peak);
    T total = 0;
    for (Long j = threadIdx.x; j < n_columns; j += blockDim.x) {
        // A row that contains only -inf becomes zeros.
        const T share = peak > -infinity<T>() ? exp(of_row[j] - peak) : (T)0;
        to[j] = share;
        total += share;
    }
    total = block_sum(total);
    for (Long j = threadIdx.x; j < n_columns; j += blockDim.x) to[j] = total > 0 ? to[j] / total : (T)0;
}

// A weight can be positive only if the score lies within a margin of the largest of its row (see
// `shared.compute_candidate_margin`). Rows are long and few here, so each is cut into segments, one per block. The
// kernels find the largest score of each segment, count its candidates, and list them in order.

// By blocks: blockIdx.x is the row, blockIdx.y the segment.
template <typename T>
__global__ void segment_peaks(const T *scores, Long n_columns, Long segment_size, T *peaks)
{
    const Long row = blockIdx.x, segment = blockIdx.y;
    const Long first = segment * segment_size, last = smaller(first + segment_size, n_columns);
    T peak = -infinity<T>();
    for (Long j = first + threadIdx.x; j < last; j += blockDim.x) peak = larger(peak, scores[row * n_columns + j]);
    peak = block_peak(peak);
    if (threadIdx.x == 0) peaks[row * gridDim.y + segment] = peak;
}

// `lowest` is the lowest score of a candidate of the row, -infinity if the row has none.
template <typename T>
__device__ __forceinline__ bool has_candidates(T segment_peak, T lowest)
{
    return lowest > -infinity<T>() && segment_peak >= lowest;
}

template <typename T>
__global__ void count_candidates(
    const T *scores, Long n_columns, Long segment_size, const T *peaks, const T *lowest, Long *counts)
{
    const Long row = blockIdx.x, segment = blockIdx.y;
    const Long first = segment * segment_size, last = smaller(first + segment_size, n_columns);
    int count = 0;
    if (has_candidates(peaks[row * gridDim.y + segment], lowest[row])) {  // the same for the whole block
        for (Long j = first + threadIdx.x; j < last; j += blockDim.x) {
            count += scores[row * n_columns + j] >= lowest[row];
        }
        count = block_sum(count);
    }
    if (threadIdx.x == 0) counts[row * gridDim.y + segment] = count;
}

// `ends` are the cumulative sums of the counts.
template <typename T>
__global__ void list_candidates(
    const T *scores, Long n_columns, Long segment_size, const T *lowest, const Long *counts, const Long *ends,
    int *columns)
{
    __shared__ int in_warp[MOST_WARPS];
    const Long row = blockIdx.x, segment = blockIdx.y;
    const Long first = segment * segment_size, last = smaller(first + segment_size, n_columns);
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, n_warps = blockDim.x / WARP;
    if (counts[row * gridDim.y + segment] == 0) return;
    Long place = ends[row * gridDim.y + segment] - counts[row * gridDim.y + segment];
    for (Long base = first; base < last; base += blockDim.x) {
        const Long j = base + threadIdx.x;
        const bool is_one = j < last && scores[row * n_columns + j] >= lowest[row];
        const unsigned ones = __ballot_sync(ALL_LANES, is_one);
        if (lane == 0) in_warp[warp] = __popc(ones);
        __syncthreads();
        Long mine = place + __popc(ones & ((1u << lane) - 1));
        for (int other = 0; other < n_warps; other++) {
            if (other < warp) mine += in_warp[other];
            place += in_warp[other];
        }
        if (is_one) columns[mine] = (int)j;
        __syncthreads();  // before the next write to `in_warp`
    }
}

const int SOFTMAX = 0, ENTMAX15 = 2, MAX = 3;  // as in `shared.SEPARATIONS`
const int MOST_STEPS = 100;       // of Newton's method
const double SETTLED = 1e-15;

// By blocks: compute the weights of the candidates of a row, with `z` as workspace of the same size, and the value: the
// convex conjugate of the penalty over beta, plus the largest score. `kernels_entmax.py` explains the method.
template <typename T>
__global__ void weigh_candidates(
    const T *scores, Long n_columns, const T *row_peaks, const Long *firsts, const int *columns, const double *beta,
    int kind, double *z, T *weights, T *values)
{
    const Long row = blockIdx.x;
    const Long first = firsts[row], last = firsts[row + 1];
    if (first == last) {
        if (threadIdx.x == 0) values[row] = 0;
        return;
    }
    const double peak = row_peaks[row];
    if (kind == MAX) {  // the first of the candidates, which all count as equal
        for (Long p = first + threadIdx.x; p < last; p += blockDim.x) weights[p] = p == first;
        if (threadIdx.x == 0) values[row] = row_peaks[row];
        return;
    }
    for (Long p = first + threadIdx.x; p < last; p += blockDim.x) {
        z[p] = beta[row] * ((double)scores[row * n_columns + columns[p]] - peak);
    }
    double total = 0, gain = 0;  // each thread reads only the numbers that it wrote
    if (kind == SOFTMAX) {
        for (Long p = first + threadIdx.x; p < last; p += blockDim.x) total += z[p] = exp(z[p]);
        total = block_sum(total);
        gain = log(total);
    } else {
        const bool squared = kind == ENTMAX15;
        const double factor = squared ? 0.5 : 1.0;
        double tau = -1;  // the largest score alone contributes 1 here, so this is not above the solution
        for (int step_number = 0; step_number < MOST_STEPS; step_number++) {
            double excess = 0, slope = 0;
            for (Long p = first + threadIdx.x; p < last; p += blockDim.x) {
                const double rest = factor * z[p] - tau;
                if (rest > 0) {
                    excess += squared ? rest * rest : rest;
                    slope += squared ? 2 * rest : 1;
                }
            }
            const double step = (block_sum(excess) - 1) / block_sum(slope);
            if (step <= SETTLED) break;
            tau += step;
        }
        for (Long p = first + threadIdx.x; p < last; p += blockDim.x) {
            const double rest = larger(factor * z[p] - tau, 0.0);
            const double weight = squared ? rest * rest : rest;
            gain += weight * z[p] - (squared ? 4.0 / 3 * weight * rest : 0.5 * weight * weight);
            total += z[p] = weight;
        }
        total = block_sum(total);
        gain = block_sum(gain) + (squared ? 4.0 / 3 : 0.5);
    }
    for (Long p = first + threadIdx.x; p < last; p += blockDim.x) weights[p] = z[p] / total;
    if (threadIdx.x == 0) values[row] = peak + gain / beta[row];
}
