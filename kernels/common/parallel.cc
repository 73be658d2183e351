#include "common/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace {

constexpr int kMaxThreads = 256;  // more gain nothing, and an absurd request must not exhaust the process

int AvailableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

int DefaultThreads() {
  const char* text = std::getenv("THOR_NUM_THREADS");
  const long request = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  return request > 0 ? static_cast<int>(std::min<long>(request, kMaxThreads)) : AvailableCores();
}

std::atomic<int> g_threads{0};

// One parallel region at a time; workers spin briefly for the next one (a kernel is often followed by another within
// microseconds) and then sleep.
class Pool {
 public:
  void Run(int64_t tasks, int workers, thor::RangeFunction function, void* context) {
    workers = std::min(workers, Grow(workers - 1) + 1);
    LeaveCore(sched_getcpu());
    {
      std::lock_guard<std::mutex> guard(mutex_);
      tasks_ = tasks, workers_ = workers, function_ = function, context_ = context;
      pending_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    RunRange(0);
    for (int spins = 0; pending_.load(std::memory_order_acquire) != 0; ++spins)
      if (spins > kSpins) std::this_thread::yield();
  }

 private:
  static constexpr int kSpins = 2000;

  // Starts helpers until there are as many as asked for or the system refuses another; returns how many there are.
  int Grow(int helpers) {
    while (static_cast<int>(threads_.size()) < helpers) {
      const int worker = static_cast<int>(threads_.size()) + 1;
      try {
        threads_.reserve(kMaxThreads);
        threads_.emplace_back([this, worker, seen = generation_.load()]() mutable { Work(worker, seen); });
      } catch (const std::exception&) {
        break;
      }
    }
    return static_cast<int>(threads_.size());
  }

  // Keeps the helpers off the caller's core. Both spin and yield there without ever sleeping, so that the scheduler can
  // leave them on one core for tens of milliseconds while another rests. Where it may run otherwise is not restricted.
  void LeaveCore(int core) {
    const int helpers = static_cast<int>(threads_.size());
    if (core == left_core_ && helpers == left_helpers_) return;
    left_core_ = core, left_helpers_ = helpers;
    cpu_set_t others;
    if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof(others), &others) != 0) return;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) == 0) return;
    for (std::thread& helper : threads_) pthread_setaffinity_np(helper.native_handle(), sizeof(others), &others);
  }

  void Work(int worker, unsigned seen) {
    while (true) {
      for (int spins = 0; generation_.load(std::memory_order_acquire) == seen && spins < kSpins; ++spins) Pause();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (worker < workers_) RunRange(worker);
      pending_.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  void RunRange(int worker) {
    const int64_t begin = tasks_ * worker / workers_, end = tasks_ * (worker + 1) / workers_;
    if (begin < end) function_(context_, begin, end, worker);
  }

  static void Pause() {
#ifdef THOR_X86
    __builtin_ia32_pause();
#endif
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> pending_{0};
  std::vector<std::thread> threads_;
  int left_core_ = -1, left_helpers_ = 0;
  int64_t tasks_ = 0;
  int workers_ = 1;
  thor::RangeFunction function_ = nullptr;
  void* context_ = nullptr;
};

// The pool lives as long as the process: its workers may still be asleep when static destructors run.
// A forked child inherits the pool's memory but none of its threads: it starts with a new one and abandons the old.
Pool* g_pool = nullptr;
std::mutex g_region;

void ForgetPool() {
  g_pool = nullptr;
  new (&g_region) std::mutex;
}

// Null where there is no memory for it.
Pool* ThePool() {
  if (g_pool == nullptr) {
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, ForgetPool); });
    g_pool = new (std::nothrow) Pool;
  }
  return g_pool;
}

}  // namespace

extern "C" {

int thor_num_threads(void) {
  int threads = g_threads.load(std::memory_order_relaxed);
  if (threads == 0) g_threads.store(threads = DefaultThreads(), std::memory_order_relaxed);
  return threads;
}

int thor_set_num_threads(int threads) {
  g_threads.store(threads < 1 ? 0 : std::min(threads, kMaxThreads), std::memory_order_relaxed);
  return thor_num_threads();
}

}  // extern "C"

namespace thor {

int Workers(int64_t tasks, int threads) {
  const int64_t limit = threads > 0 ? std::min(threads, kMaxThreads) : thor_num_threads();
  return static_cast<int>(std::max<int64_t>(1, std::min(limit, tasks)));
}

void ParallelRanges(int64_t tasks, int threads, RangeFunction function, void* context) {
  if (tasks <= 0) return;
  const int workers = Workers(tasks, threads);
  std::unique_lock<std::mutex> region(g_region, std::defer_lock);
  Pool* const pool = workers > 1 && region.try_lock() ? ThePool() : nullptr;
  if (pool != nullptr) {
    pool->Run(tasks, workers, function, context);
    return;
  }
  for (int worker = 0; worker < workers; ++worker)
    function(context, tasks * worker / workers, tasks * (worker + 1) / workers, worker);
}

}  // namespace thor
