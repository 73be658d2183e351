// Memories, clocks, hazards and time of one core, and the functions by which the host drives it.
#include "core.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "order.h"

namespace atlas {

Registers registers;
Bytes memory[5];
uint8_t* doubtful;
bool any_doubt;
int64_t items_to_compare = -1;

namespace {

const char* const kPipeNames[PIPES] = {"S", "V", "M", "MTE1", "MTE2", "MTE3", "ALL", "7", "8", "9", "FIX"};
const char* const kMemoryNames[] = {"UB", "L1", "L0C", "L0A", "L0B", "global memory"};
constexpr size_t kBlock = 32, kGlobalCell = 2;
std::vector<Cell> cells[5];
std::vector<Region> regions;
int program, line;
Instruction current;
Clock clocks[PIPES], sequence;
std::map<std::array<uint64_t, 3>, std::deque<Flag>> flags;
std::map<std::pair<std::string, int>, long> hazards;  // (sentence, line of the kernel's source)
long counts[kInstructions], synchronisations[3];
double units_done[kInstructions];
double now, pipe_free[PIPES], pipe_done[PIPES], pipe_busy[PIPES];  // cycles of this program; now: the scalar unit's
std::vector<double> program_cycles;
std::set<long> reached;       // flags and barriers of the kernel's text, by number
std::set<long> skipped;       // flags and barriers left out, by number: mutants
std::map<long, long> shifts;  // buffers moved, by number: mutants
std::string report;

bool Overlaps(int pipe) { return pipe == V || pipe == MTE1 || pipe == MTE2 || pipe == MTE3 || pipe == FIX; }

bool Ordered(int pipe, int other, uint32_t number) {
  if (other == pipe && (!Overlaps(pipe) || number == sequence[pipe])) return true;
  return clocks[pipe][other] >= number;
}

std::string Access(const Cell& cell, const char* kind, Memory where, int other) {
  std::string sentence = std::string(kind) + " in " + kMemoryNames[where] + ": " + kRows[current].name + " on " +
                         kPipeNames[kRows[current].pipe] + " after " + kPipeNames[other];
  if (cell.write_line && kind[0] != 'W') sentence += ", written by line " + std::to_string(cell.write_line);
  return sentence;
}

void Check(Cell& cell, Memory where, bool write) {
  const int pipe = kRows[current].pipe;
  if (cell.write_pipe >= 0 && !Ordered(pipe, cell.write_pipe, cell.written))
    Hazard(Access(cell, write ? "WAW" : "RAW", where, cell.write_pipe));
  if (!write) {
    if (cell.write_pipe < 0 && where != GM)
      Hazard(std::string("read of ") + kMemoryNames[where] + " that nothing wrote");
    cell.read[pipe] = sequence[pipe];
    return;
  }
  for (int other = 0; other < PIPES; ++other)
    if (cell.read[other] && !Ordered(pipe, other, cell.read[other])) Hazard(Access(cell, "WAR", where, other));
  cell.write_pipe = pipe, cell.write_line = line, cell.written = sequence[pipe];
  cell.read.fill(0);
}

void CheckPrograms(Cell& cell, bool write) {  // the programs of a launch run at the same time
  if (cell.writer != kNobody && cell.writer != program)
    Hazard(std::string("programs race: ") + kRows[current].name + " touches what another program wrote");
  if (write && cell.reader != kNobody && cell.reader != program)
    Hazard(std::string("programs race: ") + kRows[current].name + " writes what another program read");
  if (write)
    cell.writer = program;
  else
    cell.reader = cell.reader == kNobody || cell.reader == program ? program : kSeveral;
  if (cell.program == program) return;
  cell.program = program;  // clocks start anew with each program
  cell.write_pipe = -1, cell.written = 0, cell.write_line = 0;
  cell.read.fill(0);
}

bool TouchGlobal(uint64_t at, size_t size, bool write) {
  const auto inside = [=](const Region& r) { return at >= r.first && at + size <= r.first + r.size; };
  const auto region = std::find_if(regions.begin(), regions.end(), inside);
  if (region == regions.end()) {
    Hazard(std::string(kRows[current].name) + (write ? " writes" : " reads") + " outside of every argument");
    return false;
  }
  const uint64_t first = at - region->first;
  for (uint64_t i = first / kGlobalCell; i <= (first + size - 1) / kGlobalCell; ++i) {
    CheckPrograms(region->cells[i], write);
    Check(region->cells[i], GM, write);
  }
  return true;
}

bool Touch(Memory where, const void* at, size_t size, bool write) {
  if (!size) return true;
  if (where == GM) return TouchGlobal(reinterpret_cast<uint64_t>(at), size, write);
  const uint64_t offset = reinterpret_cast<uint64_t>(at) - reinterpret_cast<uint64_t>(memory[where]);
  if (offset >= kSize[where] || offset + size > kSize[where]) {
    Hazard(std::string(kRows[current].name) + " reaches outside of " + kMemoryNames[where]);
    return false;
  }
  for (uint64_t i = offset / kBlock; i <= (offset + size - 1) / kBlock; ++i) Check(cells[where][i], where, write);
  if (write && where == UB && any_doubt) std::fill_n(doubtful + offset, size, 0);
  return true;
}

void EndProgram() {  // every flag must have been taken
  for (const auto& flag : flags)
    if (!flag.second.empty())
      Hazard(std::string("flag left set: ") + kPipeNames[flag.first[0]] + " to " + kPipeNames[flag.first[1]]);
  flags.clear();
  if (program >= 0) program_cycles.push_back(std::max(now, *std::max_element(pipe_done, pipe_done + PIPES)));
}

void Reset() {
  registers = Registers();
  std::fill_n(doubtful, kSize[UB], 0);
  any_doubt = false;
  registers.mask[0] = registers.mask[1] = ~uint64_t(0);
  for (int i = 0; i < 5; ++i) {
    std::fill_n(memory[i], kSize[i], 0xFF);  // NaN in every type
    std::fill(cells[i].begin(), cells[i].end(), Cell());
  }
  for (Clock& clock : clocks) clock.fill(0);
  sequence.fill(0);
  now = 0, line = 0;
  std::fill_n(pipe_free, int(PIPES), 0.0), std::fill_n(pipe_done, int(PIPES), 0.0);
}

void AllocateMemories() {  // below 4 GiB: the library keeps addresses of UB in 32 bits
  if (memory[UB]) return;
  size_t total = 0;
  for (size_t size : kSize) total += size;
  void* at = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (at == MAP_FAILED) std::abort();
  Bytes next = static_cast<Bytes>(at);
  for (int i = 0; i < 5; ++i) memory[i] = next, next += kSize[i], cells[i].resize(kSize[i] / kBlock);
  doubtful = new uint8_t[kSize[UB]]();
}

template <class Values>
std::string Numbers(const Values& values) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
  return "[" + text + "]";
}

}  // namespace

void Issue(Instruction instruction, double units) {
  const Row& row = kRows[instruction];
  current = instruction;
  ++counts[instruction], ++sequence[row.pipe];
  units_done[instruction] += units;
  for (int other = V; other < PIPES; ++other)  // the scalar unit issues only after what it waited for
    clocks[row.pipe][other] = std::max(clocks[row.pipe][other], clocks[S][other]);
  now += kDispatch;
  const double start = std::max(now, pipe_free[row.pipe]), busy = row.start + units * row.cycles;
  pipe_free[row.pipe] = start + busy;
  pipe_busy[row.pipe] += busy;
  pipe_done[row.pipe] = std::max(pipe_done[row.pipe], start + busy + row.latency);
}

bool Read(Memory where, const void* at, size_t size) { return Touch(where, at, size, false); }
bool Write(Memory where, const void* at, size_t size) { return Touch(where, at, size, true); }
void Hazard(const std::string& sentence) { ++hazards[{sentence, line}]; }
void NotModelled(const std::string& what) { Hazard("not modelled: " + what + " of " + kRows[current].name); }
void CheckAligned(const void* at) {
  if (reinterpret_cast<uint64_t>(at) % kBlock)
    Hazard(std::string("address not in steps of 32 bytes: ") + kRows[current].name);
}

}  // namespace atlas

using namespace atlas;

extern "C" {

void* machine_memory(int64_t where, int64_t number) {
  AllocateMemories();
  const auto shift = shifts.find(number);
  return memory[where] + (shift == shifts.end() ? 0 : shift->second);
}

void machine_launch() {
  AllocateMemories();
  program = -1;
  regions.clear(), reached.clear(), hazards.clear(), flags.clear(), program_cycles.clear();
  std::fill_n(counts, int(kInstructions), 0L), std::fill_n(synchronisations, 3, 0L);
  std::fill_n(units_done, int(kInstructions), 0.0), std::fill_n(pipe_busy, int(PIPES), 0.0);
}

void machine_region(uint64_t first, uint64_t size) {
  regions.push_back({first, size, std::vector<Cell>(size / kGlobalCell + 1)});
}

void machine_program(int64_t number) {
  EndProgram();
  Reset();
  program = int(number);
}

void machine_mutate(const int64_t* skip, int64_t skips, const int64_t* moved, const int64_t* distances, int64_t moves) {
  skipped = std::set<long>(skip, skip + skips);
  shifts.clear();
  for (int64_t i = 0; i < moves; ++i) shifts[moved[i]] = distances[i];
}

// JSON: hazards with the kernel's lines, counts and units of instructions, cycles of programs and of pipes, flags
// reached.
const char* machine_report() {
  EndProgram();
  program = -1;
  report = "{\"hazards\": [";
  for (const auto& entry : hazards)
    report += (report.back() == '[' ? "[\"" : ", [\"") + entry.first.first + "\", " +
              std::to_string(entry.first.second) + ", " + std::to_string(entry.second) + "]";
  report += "], \"instructions\": {";
  for (int i = 0; i < kInstructions; ++i)
    if (counts[i])
      report += std::string(report.back() == '{' ? "\"" : ", \"") + kRows[i].name + "\": [" +
                std::to_string(counts[i]) + ", " + std::to_string(units_done[i]) + "]";
  report += "}, \"synchronisations\": " + Numbers(synchronisations) + ", \"programs\": " + Numbers(program_cycles);
  report += ", \"busy\": " + Numbers(pipe_busy) + ", \"reached\": " + Numbers(reached) + "}";
  return report.c_str();
}

void machine_line(int64_t number) { line = int(number); }
void machine_compare_items(int64_t items) { items_to_compare = items; }

void machine_set_flag(uint64_t p, uint64_t q, uint64_t event, int64_t number) {
  reached.insert(number);
  if (skipped.count(number)) return;
  ++synchronisations[0];
  Flag flag{clocks[p], std::max(now, pipe_done[p]) + kFlagTime};
  flag.clock[p] = sequence[p];
  auto& queue = flags[{p, q, event}];
  if (!queue.empty()) Hazard(std::string("flag set twice: ") + kPipeNames[p] + " to " + kPipeNames[q]);
  queue.push_back(flag);
}

void machine_wait_flag(uint64_t p, uint64_t q, uint64_t event, int64_t number) {
  reached.insert(number);
  if (skipped.count(number)) return;
  ++synchronisations[1];
  auto& queue = flags[{p, q, event}];
  if (queue.empty())
    return Hazard(std::string("wait for a flag that is not set: ") + kPipeNames[p] + " to " + kPipeNames[q]);
  for (int i = 0; i < PIPES; ++i) clocks[q][i] = std::max(clocks[q][i], queue.front().clock[i]);
  double& time = q == S ? now : pipe_free[q];
  time = std::max(time, queue.front().time);
  queue.pop_front();
}

void machine_barrier(uint64_t pipe, int64_t number) {
  reached.insert(number);
  if (skipped.count(number)) return;
  ++synchronisations[2];
  if (pipe != ALL) {
    clocks[pipe][pipe] = sequence[pipe];
    pipe_free[pipe] = std::max(pipe_free[pipe], pipe_done[pipe]);
    return;
  }
  for (Clock& clock : clocks) clock = sequence;
  now = std::max(now, *std::max_element(pipe_done, pipe_done + PIPES));
}

int64_t machine_block() { return program; }

void machine_scalar(void* at, uint64_t size, uint64_t write) {
  Issue(write ? SCALAR_STORE : SCALAR_LOAD, 1);
  now += kRows[current].cycles;
  for (Memory where : {UB, L1, L0C})
    if (reinterpret_cast<uint64_t>(at) - reinterpret_cast<uint64_t>(memory[where]) < kSize[where]) {
      Touch(where, at, size, write);
      return;
    }
  Touch(GM, at, size, write);
}

}  // extern "C"
