// Hammers the thread pool for the thread sanitizer: regions of changing width from two callers at once, and a fork.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "common/parallel.h"

namespace {

// Every task exactly once, on any number of threads; the sums are plain memory, so a race is visible.
bool RegionsAreComplete(int repetitions) {
  std::vector<int64_t> done;
  for (int i = 0; i < repetitions; ++i) {
    const int64_t tasks = 1 + i % 97;
    const int threads = 1 + i % 7;
    done.assign(static_cast<size_t>(tasks), 0);
    std::vector<int64_t> per_worker(static_cast<size_t>(thor::Workers(tasks, threads)), 0);
    thor::ParallelFor(tasks, threads, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t task = begin; task < end; ++task) {
        done[static_cast<size_t>(task)] += task + 1;
        per_worker[static_cast<size_t>(worker)] += 1;
      }
    });
    int64_t total = 0;
    for (const int64_t count : per_worker) total += count;
    for (int64_t task = 0; task < tasks; ++task)
      if (done[static_cast<size_t>(task)] != task + 1) return false;
    if (total != tasks) return false;
  }
  return true;
}

}  // namespace

int main() {
  std::atomic<bool> right{true};
  std::thread other([&] { right = RegionsAreComplete(2000) && right; });
  const bool mine = RegionsAreComplete(2000);
  other.join();
  int status = 0;
#ifndef __SANITIZE_THREAD__  // which cannot follow a fork
  const pid_t child = fork();
  if (child == 0) _exit(RegionsAreComplete(200) ? 0 : 1);
  waitpid(child, &status, 0);
#endif
  const bool all = mine && right && status == 0;
  std::puts(all ? "complete" : "incomplete");
  return all ? 0 : 1;
}
