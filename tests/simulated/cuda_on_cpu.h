// CUDA C++ for a C++ compiler: the functions that kernels call, and launches that run one block after another.
//
// The threads of a block are fibres of one thread of the operating system. A fibre runs until it reaches a barrier or an
// exchange of its warp (a meeting); the last fibre to arrive completes the meeting for all and continues. Fibres are not
// interrupted, so that a kernel with a missing barrier reads values that another thread has not written yet. The order
// of fibres can be reversed to show this. A meeting that cannot be completed is an error and never waits.
//
// Names that NVRTC does not define, such as int64_t or INFINITY, are made undefined at the end of this file.

#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#if !(defined(__x86_64__) && defined(__linux__))
#include <ucontext.h>
#define SIMULATED_UCONTEXT
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __shared__ static
#define __constant__ static
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

#define SIMULATED_VECTORS(T, name)                                                                                    \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                                \
    struct name##3 { T x, y, z; };                                                                                    \
    struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; };                                \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                        \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                                \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
SIMULATED_VECTORS(float, float)
SIMULATED_VECTORS(double, double)
SIMULATED_VECTORS(int, int)
SIMULATED_VECTORS(long long, longlong)
#undef SIMULATED_VECTORS
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace simulated {

constexpr int most_threads = 1024, lanes = 32;
constexpr size_t stack_bytes = 64 << 10, page = 4096, message_bytes = 512;
constexpr size_t most_shared = 227 << 10, shared_guard = 4096;

enum Kind : int {
    syncthreads, syncthreads_or, syncthreads_and, syncthreads_count,
    syncwarp, shfl, shfl_up, shfl_down, shfl_xor, ballot, any, all, match_any, reduce_add, reduce_min, reduce_max,
};
inline const char* const names[] = {
    "__syncthreads", "__syncthreads_or", "__syncthreads_and", "__syncthreads_count",
    "__syncwarp", "__shfl_sync", "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync", "__ballot_sync",
    "__any_sync", "__all_sync", "__match_any_sync", "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync",
};

struct Fibre {
    void* stack_pointer;
    unsigned long long in, out;  // its value for a meeting, and its result
    uint3 index;
    int thread, lane, warp;
    int source_lane, width;  // the lane to read
    bool ended;
    char* stack;
};

struct Meeting {
    unsigned mask, arrived;
    Kind kind;
    int size;
};

struct Warp {
    unsigned present, ready;  // existing lanes, and lanes that can run now
    int n_meetings;
    Meeting meetings[lanes];  // each group of diverged lanes has its own
};

// State of the running launch; there is only one at a time.
struct State {
    Fibre* now = nullptr;
    uint3 block{};
    dim3 block_size, grid_size;
    int n_threads = 0, n_warps = 0, n_ended = 0, n_at_barrier = 0;
    Kind barrier = syncthreads;
    bool backwards = false, failed = false;
    void (*kernel)(void*) = nullptr;
    void* arguments = nullptr;
    Fibre main{};
    Warp warps[most_threads / lanes];
    Fibre fibres[most_threads];
    unsigned long long n_switches = 0;
    char message[message_bytes];
    char* signal_stack = nullptr;
    char* shared = nullptr;
    size_t shared_bytes = 0;
    sigjmp_buf way_out;
};
inline State s;

// -- switches between fibres -----------------------------------------------------------------------------------------

#ifdef SIMULATED_UCONTEXT
inline ucontext_t contexts[most_threads + 1];
inline ucontext_t* context_of(Fibre* f) { return &contexts[f == &s.main ? most_threads : f->thread]; }
inline void go(Fibre* from, Fibre* to) { swapcontext(context_of(from), context_of(to)); }
#else
extern "C" void simulated_go(void** from, void* to);
// Saves only the registers that a function must preserve.
asm(R"(
.text
.p2align 4
.local simulated_go
.type simulated_go, @function
simulated_go:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size simulated_go, .-simulated_go
)");
inline void go(Fibre* from, Fibre* to) { simulated_go(&from->stack_pointer, to->stack_pointer); }
#endif

inline void switch_to(Fibre* to) {
    Fibre* from = s.now;
    s.now = to;
    s.n_switches++;
    go(from, to);
}

[[noreturn]] inline void leave() {
    switch_to(&s.main);
    abort();
}

[[noreturn]] __attribute__((noinline, format(printf, 1, 2))) inline void fail(const char* format, ...) {
    va_list values;
    va_start(values, format);
    int n = vsnprintf(s.message, message_bytes, format, values);
    va_end(values);
    if (n > 0 && size_t(n) < message_bytes && s.now != &s.main)
        snprintf(s.message + n, message_bytes - n, " (block %u,%u,%u, thread %d)", s.block.x, s.block.y, s.block.z,
                 s.now->thread);
    s.failed = true;
    leave();
}

inline int write_threads(char* to, size_t size, bool (*chosen)(const Fibre&)) {
    int n = 0, groups = 0;
    for (int t = 0; t < s.n_threads; t++) {
        if (!chosen(s.fibres[t])) continue;
        int last = t;
        while (last + 1 < s.n_threads && chosen(s.fibres[last + 1])) last++;
        if (++groups > 4) return n + snprintf(to + n, size - n, " and others");
        n += snprintf(to + n, size - n, last > t ? "%s%d..%d" : "%s%d", groups > 1 ? ", " : "", t, last);
        t = last;
    }
    return n;
}

// No fibre can run, and not all have ended: report which fibres wait for what.
[[noreturn]] inline void report_standstill() {
    static Kind kind;
    static unsigned mask;
    static int warp;
    char waiting[128] = "";
    for (warp = 0; warp < s.n_warps; warp++) {
        Warp& w = s.warps[warp];
        if (!w.n_meetings) continue;
        kind = w.meetings[0].kind, mask = w.meetings[0].arrived;
        write_threads(waiting, sizeof waiting, [](const Fibre& f) { return f.warp == warp && (mask >> f.lane & 1); });
        unsigned missing = w.meetings[0].mask & ~w.meetings[0].arrived;
        bool ended = false;
        for (int t = 0; t < s.n_threads; t++)
            ended |= s.fibres[t].warp == warp && (missing >> s.fibres[t].lane & 1) && s.fibres[t].ended;
        fail("threads %s wait at %s with mask 0x%08x while others of it %s", waiting, names[kind],
             w.meetings[0].mask, ended ? "have ended" : "wait elsewhere");
    }
    write_threads(waiting, sizeof waiting, [](const Fibre& f) { return !f.ended; });
    fail("threads %s wait at %s while others have ended", waiting, names[s.barrier]);
}

// Switch to a fibre that can run: of the same warp if there is one, in the order of the launch.
inline void next() {
    Fibre* me = s.now;
    unsigned ready = s.warps[me->warp].ready;
    int warp = me->warp;
    if (ready) {
        unsigned below = ready & ((1u << me->lane) - 1), above = ready & ~((2u << me->lane) - 1);
        if (me->lane == lanes - 1) above = 0;
        unsigned first = s.backwards ? below : above;
        if (first) ready = first;
    } else {
        for (int i = 1; i < s.n_warps && !ready; i++) {
            warp = s.backwards ? me->warp - i : me->warp + i;
            if (warp < 0) warp += s.n_warps;
            if (warp >= s.n_warps) warp -= s.n_warps;
            ready = s.warps[warp].ready;
        }
        if (!ready) {
            if (s.n_ended == s.n_threads) leave();
            report_standstill();
        }
    }
    int lane = s.backwards ? 31 - __builtin_clz(ready) : __builtin_ctz(ready);
    Fibre* to = &s.fibres[warp * lanes + lane];
    if (to != me) switch_to(to);
}

inline void run_fibre() {
    s.kernel(s.arguments);
    Fibre* me = s.now;
    me->ended = true;
    s.n_ended++;
    s.warps[me->warp].ready &= ~(1u << me->lane);
    next();
    abort();
}

// -- meetings --------------------------------------------------------------------------------------------------------

inline unsigned long long meet_block(Kind kind, unsigned long long value) {
    Fibre* me = s.now;
    if (s.n_at_barrier == 0)
        s.barrier = kind;
    else if (s.barrier != kind)
        fail("%s met %s: threads of a block are at different barriers", names[kind], names[s.barrier]);
    me->in = value;
    if (++s.n_at_barrier < s.n_threads) {
        s.warps[me->warp].ready &= ~(1u << me->lane);
        next();
        return me->out;
    }
    s.n_at_barrier = 0;
    unsigned long long some = 0, every = 1, count = 0;
    if (kind != syncthreads)
        for (int t = 0; t < s.n_threads; t++) {
            bool yes = s.fibres[t].in != 0;
            some |= yes, every &= yes, count += yes;
        }
    unsigned long long out = kind == syncthreads_or ? some : kind == syncthreads_and ? every : count;
    if (kind != syncthreads)
        for (int t = 0; t < s.n_threads; t++) s.fibres[t].out = out;
    for (int w = 0; w < s.n_warps; w++) s.warps[w].ready = s.warps[w].present;
    return out;
}

inline void settle(const Meeting& m, Fibre* warp) {
    unsigned long long votes = 0, sum = 0;
    switch (m.kind) {
    case syncwarp:
        return;
    case ballot:
    case any:
    case all:
        for (unsigned rest = m.mask; rest; rest &= rest - 1) {
            int lane = __builtin_ctz(rest);
            votes |= (unsigned long long)(warp[lane].in != 0) << lane;
        }
        votes = m.kind == any ? votes != 0 : m.kind == all ? votes == m.mask : votes;
        for (unsigned rest = m.mask; rest; rest &= rest - 1) warp[__builtin_ctz(rest)].out = votes;
        return;
    case match_any:
        for (unsigned rest = m.mask; rest; rest &= rest - 1) {
            Fibre& f = warp[__builtin_ctz(rest)];
            f.out = 0;
            for (unsigned other = m.mask; other; other &= other - 1)
                f.out |= (unsigned long long)(warp[__builtin_ctz(other)].in == f.in) << __builtin_ctz(other);
        }
        return;
    case reduce_add:
    case reduce_min:
    case reduce_max:
        sum = warp[__builtin_ctz(m.mask)].in;
        for (unsigned rest = m.mask & (m.mask - 1); rest; rest &= rest - 1) {
            unsigned long long x = warp[__builtin_ctz(rest)].in;
            bool less = (long long)x < (long long)sum;
            sum = m.kind == reduce_add ? sum + x : less == (m.kind == reduce_min) ? x : sum;
        }
        for (unsigned rest = m.mask; rest; rest &= rest - 1) warp[__builtin_ctz(rest)].out = sum;
        return;
    default:
        break;
    }
    for (unsigned rest = m.mask; rest; rest &= rest - 1) {
        int lane = __builtin_ctz(rest);
        Fibre& f = warp[lane];
        int first = lane & ~(f.width - 1), from = lane;
        if (m.kind == shfl) from = first + (f.source_lane & (f.width - 1));
        if (m.kind == shfl_up) from = lane - f.source_lane < first ? lane : lane - f.source_lane;
        if (m.kind == shfl_down) from = lane + f.source_lane >= first + f.width ? lane : lane + f.source_lane;
        if (m.kind == shfl_xor) {
            from = lane ^ f.source_lane;
            if (from >= first + f.width) from = lane;
        }
        if (!(m.mask >> from & 1))
            fail("%s of lane %d reads lane %d, which is not in the mask 0x%08x", names[m.kind], lane, from, m.mask);
        f.out = warp[from].in;
    }
}

inline unsigned long long meet_warp(Kind kind, unsigned mask, unsigned long long value, int size = 0,
                                    int source_lane = 0, int width = lanes) {
    Fibre* me = s.now;
    Warp& w = s.warps[me->warp];
    unsigned mine = 1u << me->lane;
    if (!(mask & mine)) fail("%s: lane %d is not in its own mask 0x%08x", names[kind], me->lane, mask);
    if (mask & ~w.present) fail("%s: the mask 0x%08x names lanes that the block does not have", names[kind], mask);
    if (width < 1 || width > lanes || (width & (width - 1))) fail("%s: width %d", names[kind], width);
    me->in = value, me->source_lane = source_lane, me->width = width;
    int i = 0;
    // A meeting with another mask may contain some of these lanes, which reach it later.
    while (i < w.n_meetings && w.meetings[i].mask != mask) i++;
    Meeting& m = w.meetings[i];
    if (i == w.n_meetings) {
        w.n_meetings++;
        m = {mask, mine, kind, size};
    } else {
        if (m.kind != kind) fail("%s met %s in one warp", names[kind], names[m.kind]);
        if (m.size != size) fail("%s of %d bytes met one of %d in one warp", names[kind], size, m.size);
        m.arrived |= mine;
    }
    if (m.arrived != mask) {
        w.ready &= ~mine;
        next();
        return me->out;
    }
    settle(m, &s.fibres[me->warp * lanes]);
    w.ready |= mask;
    m = w.meetings[--w.n_meetings];
    return me->out;
}

template <class T> inline T exchange(Kind kind, unsigned mask, T value, int lane, int width) {
    static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8 || std::is_same_v<T, bool>),
                  "numbers of 4 or 8 bytes can be exchanged");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = meet_warp(kind, mask, bits, sizeof value, lane, width);
    memcpy(&value, &bits, sizeof value);
    return value;
}

// -- a launch --------------------------------------------------------------------------------------------------------

inline void prepare(Fibre* f) {
    f->ended = false;
#ifdef SIMULATED_UCONTEXT
    ucontext_t* c = context_of(f);
    getcontext(c);
    c->uc_stack.ss_sp = f->stack, c->uc_stack.ss_size = stack_bytes, c->uc_link = nullptr;
    makecontext(c, run_fibre, 0);
#else
    // Tops of stacks have different offsets, so that they do not share cache lines.
    void** top = (void**)(f->stack + stack_bytes - 64 - (f->thread % 48) * 320);
    *--top = nullptr;  // in place of a return address, which also aligns the frame
    *--top = (void*)run_fibre;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f->stack_pointer = top;
#endif
}

inline void make_room() {
    if (s.signal_stack) return;
    size_t each = stack_bytes + page;
    char* memory = (char*)mmap(nullptr, most_threads * each, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) abort();
    for (int t = 0; t < most_threads; t++) {
        mprotect(memory + t * each, page, PROT_NONE);  // detects stack overflows
        s.fibres[t].stack = memory + t * each + page;
        s.fibres[t].thread = t, s.fibres[t].lane = t % lanes, s.fibres[t].warp = t / lanes;
    }
    s.shared = (char*)aligned_alloc(page, (most_shared + shared_guard + page - 1) / page * page);
    s.signal_stack = (char*)malloc(stack_bytes);
}

inline void on_signal(int number, siginfo_t* info, void*) {
    const char* what = number == SIGFPE ? "a whole number was divided by zero" : "an illegal address was read or written";
    bool overflow = false;
    if (number != SIGFPE && s.now != &s.main) {
        char* address = (char*)info->si_addr;
        overflow = address < s.now->stack && address >= s.now->stack - page;
    }
    snprintf(s.message, message_bytes, "%s (block %u,%u,%u, thread %d)",
             overflow ? "a thread used more than 64 kB of local memory" : what, s.block.x, s.block.y, s.block.z,
             s.now ? s.now->thread : 0);
    s.failed = true;
    siglongjmp(s.way_out, 1);
}

inline void run_block() {
    for (int w = 0; w < s.n_warps; w++) {
        int n = s.n_threads - w * lanes < lanes ? s.n_threads - w * lanes : lanes;
        s.warps[w].present = s.warps[w].ready = n == lanes ? ~0u : (1u << n) - 1;
        s.warps[w].n_meetings = 0;
    }
    for (int t = 0; t < s.n_threads; t++) prepare(&s.fibres[t]);
    s.n_ended = s.n_at_barrier = 0;
    s.now = &s.main;
    if (s.shared_bytes) memset(s.shared, 0xff, s.shared_bytes + shared_guard);
    switch_to(&s.fibres[s.backwards ? s.n_threads - 1 : 0]);
    for (size_t i = 0; s.shared_bytes && !s.failed && i < shared_guard; i++)
        if (s.shared[s.shared_bytes + i] != (char)0xff) {
            snprintf(s.message, message_bytes, "something was written behind the dynamic shared memory");
            s.failed = true;
        }
}

struct Guard { unsigned long long address, bytes; };
constexpr int guard_bytes = 256;

inline bool whole(const char* guard) {
    static const auto expected = [] {
        struct { unsigned words[guard_bytes / 4]; } filled;
        for (unsigned& word : filled.words) word = 0x7ff8dead;
        return filled;
    }();
    return memcmp(guard, &expected, guard_bytes) == 0;
}

inline int run_grid(const unsigned* size, unsigned shared_bytes, int backwards) {
    make_room();
    s.grid_size = {size[0], size[1], size[2]}, s.block_size = {size[3], size[4], size[5]};
    s.n_threads = size[3] * size[4] * size[5], s.n_warps = (s.n_threads + lanes - 1) / lanes;
    s.backwards = backwards, s.failed = false, s.message[0] = 0, s.shared_bytes = shared_bytes;
    for (int t = 0; t < s.n_threads; t++)
        s.fibres[t].index = {t % size[3], t / size[3] % size[4], t / size[3] / size[4]};
    struct sigaction ours {}, theirs[3];
    ours.sa_sigaction = on_signal, ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    const int signals[3] = {SIGSEGV, SIGBUS, SIGFPE};
    stack_t ours_stack{}, theirs_stack{};
    ours_stack.ss_sp = s.signal_stack, ours_stack.ss_size = stack_bytes;
    sigaltstack(&ours_stack, &theirs_stack);
    for (int i = 0; i < 3; i++) sigaction(signals[i], &ours, &theirs[i]);
    if (sigsetjmp(s.way_out, 1) == 0) {
        unsigned long long n_blocks = 1ull * size[0] * size[1] * size[2];
        for (unsigned long long i = 0; i < n_blocks && !s.failed; i++) {
            unsigned long long b = s.backwards ? n_blocks - 1 - i : i;
            s.block = {unsigned(b % size[0]), unsigned(b / size[0] % size[1]), unsigned(b / size[0] / size[1])};
            run_block();
        }
    }
    for (int i = 0; i < 3; i++) sigaction(signals[i], &theirs[i], nullptr);
    sigaltstack(&theirs_stack, nullptr);
    return s.failed;
}

template <class... A> struct Call {
    void (*kernel)(A...);
    std::tuple<std::remove_const_t<A>...> values;
    static void run(void* self) {
        auto* call = static_cast<Call*>(self);
        std::apply(call->kernel, call->values);
    }
};

template <class... A, size_t... I>
inline int launch_with(void (*kernel)(A...), void** a, std::index_sequence<I...>, const unsigned* size,
                       unsigned shared_bytes, int backwards) {
    Call<A...> call{kernel, {*static_cast<std::remove_const_t<A>*>(a[I])...}};
    s.kernel = Call<A...>::run, s.arguments = &call;
    return run_grid(size, shared_bytes, backwards);
}

template <class... A>
inline int launch(void (*kernel)(A...), void** a, const unsigned* size, unsigned shared_bytes, int backwards) {
    return launch_with(kernel, a, std::index_sequence_for<A...>(), size, shared_bytes, backwards);
}

// For each parameter: whether it is a pointer, the size of it or of its target, and the kind of number.
template <class T> inline void describe_one(int*& out) {
    using value = std::remove_cv_t<std::remove_pointer_t<T>>;
    *out++ = std::is_pointer_v<T>;
    if constexpr (std::is_void_v<value>)
        *out++ = 0, *out++ = 'v';
    else {
        *out++ = sizeof(value);
        *out++ = std::is_floating_point_v<value> ? 'f'
               : std::is_same_v<value, bool> ? 'b'
               : !std::is_integral_v<value> ? 'V'
               : std::is_signed_v<value> ? 'i' : 'u';
    }
}
template <class... A> inline int describe(void (*)(A...), int* out) {
    static_assert(sizeof...(A) <= 64, "at most 64 parameters");
    (describe_one<A>(out), ...);
    return sizeof...(A);
}

}  // namespace simulated

extern "C" inline __attribute__((used)) const char* simulated_message() { return simulated::s.message; }
extern "C" inline __attribute__((used)) unsigned long long simulated_switches() { return simulated::s.n_switches; }
// The first allocation with a damaged guard, or -1.
extern "C" inline __attribute__((used)) long long simulated_damaged(const simulated::Guard* guards, long long n) {
    for (long long i = 0; i < n; i++) {
        if (!guards[i].address) continue;
        const char* first = reinterpret_cast<const char*>(guards[i].address);
        if (!simulated::whole(first - simulated::guard_bytes) || !simulated::whole(first + guards[i].bytes)) return i;
    }
    return -1;
}

// -- names of CUDA ---------------------------------------------------------------------------------------------------

#define threadIdx (simulated::s.now->index)
#define blockIdx (simulated::s.block)
#define blockDim (simulated::s.block_size)
#define gridDim (simulated::s.grid_size)
constexpr int warpSize = 32;

inline void __syncthreads() { simulated::meet_block(simulated::syncthreads, 0); }
inline int __syncthreads_or(int p) { return simulated::meet_block(simulated::syncthreads_or, p); }
inline int __syncthreads_and(int p) { return simulated::meet_block(simulated::syncthreads_and, p); }
inline int __syncthreads_count(int p) { return simulated::meet_block(simulated::syncthreads_count, p); }
inline void __syncwarp(unsigned mask = 0xffffffff) { simulated::meet_warp(simulated::syncwarp, mask, 0); }
inline unsigned __ballot_sync(unsigned mask, int p) { return simulated::meet_warp(simulated::ballot, mask, p); }
inline int __any_sync(unsigned mask, int p) { return simulated::meet_warp(simulated::any, mask, p); }
inline int __all_sync(unsigned mask, int p) { return simulated::meet_warp(simulated::all, mask, p); }
template <class T> inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
    return simulated::exchange(simulated::shfl, mask, value, lane, width);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    return simulated::exchange(simulated::shfl_up, mask, value, by, width);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    return simulated::exchange(simulated::shfl_down, mask, value, by, width);
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32) {
    return simulated::exchange(simulated::shfl_xor, mask, value, with, width);
}
template <class T> inline unsigned __match_any_sync(unsigned mask, T value) {
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    return simulated::meet_warp(simulated::match_any, mask, bits, sizeof value);
}
#define SIMULATED_REDUCE(T)                                                                                           \
    inline T __reduce_add_sync(unsigned m, T x) { return simulated::meet_warp(simulated::reduce_add, m, (long long)x); } \
    inline T __reduce_min_sync(unsigned m, T x) { return simulated::meet_warp(simulated::reduce_min, m, (long long)x); } \
    inline T __reduce_max_sync(unsigned m, T x) { return simulated::meet_warp(simulated::reduce_max, m, (long long)x); }
SIMULATED_REDUCE(int)
SIMULATED_REDUCE(unsigned)
#undef SIMULATED_REDUCE

inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { simulated::fail("__trap was called"); }
#undef assert
#define assert(x) ((x) ? void() : simulated::fail("assert(%s) does not hold", #x))

#define SIMULATED_ATOMIC(name, T, expression)                                                                         \
    inline T name(T* at, T value) {                                                                                   \
        T old = *at;                                                                                                  \
        *at = expression;                                                                                             \
        return old;                                                                                                   \
    }
#define SIMULATED_INTEGER_ATOMICS(T)                                                                                  \
    SIMULATED_ATOMIC(atomicMax, T, old < value ? value : old)                                                         \
    SIMULATED_ATOMIC(atomicMin, T, value < old ? value : old)                                                         \
    SIMULATED_ATOMIC(atomicExch, T, value)                                                                            \
    SIMULATED_ATOMIC(atomicOr, T, old | value)                                                                        \
    SIMULATED_ATOMIC(atomicAnd, T, old & value)                                                                       \
    inline T atomicCAS(T* at, T compare, T value) {                                                                   \
        T old = *at;                                                                                                  \
        if (old == compare) *at = value;                                                                              \
        return old;                                                                                                   \
    }
SIMULATED_INTEGER_ATOMICS(int)
SIMULATED_INTEGER_ATOMICS(unsigned)
SIMULATED_INTEGER_ATOMICS(unsigned long long)
SIMULATED_ATOMIC(atomicMax, long long, old < value ? value : old)
SIMULATED_ATOMIC(atomicMin, long long, value < old ? value : old)
SIMULATED_ATOMIC(atomicExch, float, value)
SIMULATED_ATOMIC(atomicAdd, int, old + value)
SIMULATED_ATOMIC(atomicAdd, unsigned, old + value)
SIMULATED_ATOMIC(atomicAdd, unsigned long long, old + value)
SIMULATED_ATOMIC(atomicAdd, float, old + value)
SIMULATED_ATOMIC(atomicAdd, double, old + value)
SIMULATED_ATOMIC(atomicSub, int, old - value)
SIMULATED_ATOMIC(atomicSub, unsigned, old - value)
#undef SIMULATED_INTEGER_ATOMICS
#undef SIMULATED_ATOMIC

// The same overloads as in CUDA, so that min(int, long long) is ambiguous.
#define SIMULATED_EXTREMES(A, B, R)                                                                                   \
    inline R min(A a, B b) {                                                                                          \
        R x = a, y = b;                                                                                               \
        return x < y ? x : y;                                                                                         \
    }                                                                                                                 \
    inline R max(A a, B b) {                                                                                          \
        R x = a, y = b;                                                                                               \
        return x < y ? y : x;                                                                                         \
    }
#define SIMULATED_MIXED(S, U)                                                                                         \
    SIMULATED_EXTREMES(S, S, S)                                                                                       \
    SIMULATED_EXTREMES(U, U, U)                                                                                       \
    SIMULATED_EXTREMES(S, U, U)                                                                                       \
    SIMULATED_EXTREMES(U, S, U)
SIMULATED_MIXED(int, unsigned)
SIMULATED_MIXED(long, unsigned long)
SIMULATED_MIXED(long long, unsigned long long)
#undef SIMULATED_MIXED
#undef SIMULATED_EXTREMES
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(double(a), b); }
inline double min(double a, float b) { return fmin(a, double(b)); }
inline double max(float a, double b) { return fmax(double(a), b); }
inline double max(double a, float b) { return fmax(a, double(b)); }

template <class T> inline T __ldg(const T* at) { return *at; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (x >> i & 1u) << (31 - i);
    return r;
}
#define SIMULATED_BITS(name, from, to)                                                                                \
    inline to name(from x) {                                                                                          \
        to y;                                                                                                         \
        static_assert(sizeof x == sizeof y);                                                                          \
        memcpy(&y, &x, sizeof y);                                                                                     \
        return y;                                                                                                     \
    }
SIMULATED_BITS(__int_as_float, int, float)
SIMULATED_BITS(__uint_as_float, unsigned, float)
SIMULATED_BITS(__float_as_int, float, int)
SIMULATED_BITS(__float_as_uint, float, unsigned)
SIMULATED_BITS(__longlong_as_double, long long, double)
SIMULATED_BITS(__double_as_longlong, double, long long)
#undef SIMULATED_BITS
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / ::sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1 / a; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return ::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return ::fma(a, b, c); }
inline int __float2int_rn(float x) { return int(nearbyintf(x)); }
inline int __double2int_rn(double x) { return int(nearbyint(x)); }

// `extern __shared__ T name[];` is rewritten to a call of this function before compilation.
inline void* simulated_dynamic_shared() { return simulated::s.shared; }

// Names that NVRTC does not define.
#undef INFINITY
#undef NAN
#undef HUGE_VAL
#undef HUGE_VALF
#undef INT_MAX
#undef INT_MIN
#undef UINT_MAX
#undef LLONG_MAX
#undef LLONG_MIN
#undef FLT_MAX
#undef FLT_MIN
#undef FLT_EPSILON
#undef DBL_MAX
#undef DBL_MIN
#undef DBL_EPSILON
#undef M_PI
#undef __FLT_MAX__
#undef __FLT_MIN__
#undef __FLT_EPSILON__
#undef __DBL_MAX__
#undef __DBL_MIN__
#undef __DBL_EPSILON__
#undef __INT_MAX__
#pragma GCC poison INFINITY NAN HUGE_VAL HUGE_VALF INT_MAX INT_MIN UINT_MAX LLONG_MAX LLONG_MIN M_PI
#pragma GCC poison FLT_MAX FLT_MIN FLT_EPSILON DBL_MAX DBL_MIN DBL_EPSILON
#pragma GCC poison __FLT_MAX__ __FLT_MIN__ __FLT_EPSILON__ __DBL_MAX__ __DBL_MIN__ __DBL_EPSILON__ __INT_MAX__
#pragma GCC poison int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t uintptr_t intptr_t uint ushort
#pragma GCC poison std __builtin_inf __builtin_inff __builtin_nan __builtin_nanf
