// Runs the signatures of a SavedModel as TensorFlow Serving does: loaded by
// TensorFlow's C++ loader, no Python, XLA off.
//
//   loader MODEL REQUESTS ANSWERS [--threads=N] [--repeat=N] [--timeout_ms=N]
//          [--seconds=N]
//
// REQUESTS and ANSWERS are TFRecord files of NameAttrList messages. A request
// names its signature and holds the inputs, an answer names its error (nothing
// if all went well) and holds the outputs. Each of N threads runs every
// request and writes its own answers, one thread's after the other's. For the
// seconds asked for, the threads go on after that, each from another request,
// and count the answers that are not the first ones again. One line of JSON on
// standard output tells the times and the memory.


#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/compiler/jit/flags.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/lib/io/record_reader.h"
#include "tensorflow/core/lib/io/record_writer.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/public/session.h"

namespace {

using Clock = std::chrono::steady_clock;
using Message = tensorflow::NameAttrList;

struct Options {
  int threads = 1;
  int repeat = 1;
  int timeout_ms = 0;
  int seconds = 0;
};

struct Answers {
  std::vector<Message> messages;
  std::vector<double> milliseconds;  // the median of the repetitions
};

// What the threads met in the seconds after their answers.
struct Load {
  std::atomic<long> answered{0};
  std::atomic<long> changed{0};
  std::vector<long> resident_kib;  // once a second
};

void DieOnError(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << status.ToString() << std::endl;
  std::exit(1);
}

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

std::vector<Message> ReadRequests(const std::string& path) {
  std::unique_ptr<tensorflow::RandomAccessFile> file;
  DieOnError(tensorflow::Env::Default()->NewRandomAccessFile(path, &file));
  tensorflow::io::RecordReader reader(file.get());
  std::vector<Message> requests;
  tensorflow::tstring record;
  tensorflow::uint64 offset = 0;
  absl::Status status;
  while ((status = reader.ReadRecord(&offset, &record)).ok()) {
    requests.emplace_back();
    if (!requests.back().ParseFromArray(record.data(), record.size())) {
      DieOnError(absl::DataLossError("a request is no NameAttrList"));
    }
  }
  if (!absl::IsOutOfRange(status)) DieOnError(status);
  return requests;
}

void WriteAnswers(const std::string& path,
                  const std::vector<Answers>& answers) {
  std::unique_ptr<tensorflow::WritableFile> file;
  DieOnError(tensorflow::Env::Default()->NewWritableFile(path, &file));
  tensorflow::io::RecordWriter writer(file.get());
  for (const Answers& of_thread : answers) {
    for (const Message& message : of_thread.messages) {
      DieOnError(writer.WriteRecord(message.SerializeAsString()));
    }
  }
  DieOnError(writer.Close());
  DieOnError(file->Close());
}

// Runs one request; like the server it wants exactly the signature's inputs.
absl::Status Run(const tensorflow::SavedModelBundle& bundle,
                 const Message& request, const Options& options,
                 Message* answer) {
  const auto& signatures = bundle.GetSignatures();
  const auto found = signatures.find(request.name());
  if (found == signatures.end()) {
    return absl::NotFoundError("no signature named " + request.name());
  }
  const tensorflow::SignatureDef& signature = found->second;
  if (signature.inputs_size() != request.attr_size()) {
    return absl::InvalidArgumentError("input size does not match signature");
  }
  std::vector<std::pair<std::string, tensorflow::Tensor>> feeds;
  for (const auto& [name, info] : signature.inputs()) {
    const auto given = request.attr().find(name);
    tensorflow::Tensor tensor;
    if (given == request.attr().end() ||
        !tensor.FromProto(given->second.tensor())) {
      return absl::InvalidArgumentError("missing or broken input: " + name);
    }
    feeds.emplace_back(info.name(), std::move(tensor));
  }
  std::vector<std::string> names, fetches;
  for (const auto& [name, info] : signature.outputs()) {
    names.push_back(name);
    fetches.push_back(info.name());
  }
  tensorflow::RunOptions run_options;
  run_options.set_timeout_in_ms(options.timeout_ms);
  std::vector<tensorflow::Tensor> outputs;
  const absl::Status status = bundle.GetSession()->Run(
      run_options, feeds, fetches, {}, &outputs, nullptr);
  for (size_t i = 0; status.ok() && i < names.size(); ++i) {
    auto* proto = (*answer->mutable_attr())[names[i]].mutable_tensor();
    if (outputs[i].dtype() == tensorflow::DT_STRING) {
      outputs[i].AsProtoField(proto);
    } else {
      outputs[i].AsProtoTensorContent(proto);
    }
  }
  return status;
}

Answers RunAll(const tensorflow::SavedModelBundle& bundle,
               const std::vector<Message>& requests, const Options& options) {
  Answers answers;
  for (const Message& request : requests) {
    std::vector<double> times;
    Message answer;
    for (int i = 0; i < options.repeat; ++i) {
      answer.Clear();
      const auto start = Clock::now();
      const absl::Status status = Run(bundle, request, options, &answer);
      times.push_back(MillisecondsSince(start));
      if (!status.ok()) answer.set_name(status.ToString());
    }
    std::nth_element(times.begin(), times.begin() + times.size() / 2,
                     times.end());
    answers.milliseconds.push_back(times[times.size() / 2]);
    answers.messages.push_back(std::move(answer));
  }
  return answers;
}

bool IsSame(const Message& one, const Message& other) {
  if (one.name() != other.name() || one.attr_size() != other.attr_size()) {
    return false;
  }
  for (const auto& [name, value] : one.attr()) {
    const auto found = other.attr().find(name);
    if (found == other.attr().end() ||
        found->second.SerializeAsString() != value.SerializeAsString()) {
      return false;
    }
  }
  return true;
}

void KeepAsking(const tensorflow::SavedModelBundle& bundle,
                const std::vector<Message>& requests, const Options& options,
                const Answers& expected, size_t first,
                Clock::time_point until, Load* load) {
  for (size_t i = first; Clock::now() < until; ++i) {
    const size_t index = i % requests.size();
    Message answer;
    const absl::Status status =
        Run(bundle, requests[index], options, &answer);
    if (!status.ok()) answer.set_name(status.ToString());
    if (!IsSame(answer, expected.messages[index])) ++load->changed;
    ++load->answered;
  }
}

long ResidentKib() {
  long pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// Of this program alone: `getrusage` counts what ran before it was loaded.
long PeakKib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  long kib = 0;
  while (status >> word) {
    if (word == "VmHWM:") status >> kib;
  }
  return kib;
}

void RunLoad(const tensorflow::SavedModelBundle& bundle,
             const std::vector<Message>& requests, const Options& options,
             const std::vector<Answers>& answers, Load* load) {
  const auto until = Clock::now() + std::chrono::seconds(options.seconds);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < answers.size(); ++i) {
    threads.emplace_back([&, i] {
      KeepAsking(bundle, requests, options, answers[i], i, until, load);
    });
  }
  while (Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    load->resident_kib.push_back(ResidentKib());
  }
  for (std::thread& thread : threads) thread.join();
}

void Report(double load_ms, double run_ms,
            const std::vector<Answers>& answers, const Load& load) {
  std::printf("{\"load_ms\": %.3f, \"run_ms\": %.3f, \"peak_kib\": %ld, "
              "\"request_ms\": [",
              load_ms, run_ms, PeakKib());
  const char* comma = "";
  for (const Answers& of_thread : answers) {
    for (const double milliseconds : of_thread.milliseconds) {
      std::printf("%s%.3f", comma, milliseconds);
      comma = ", ";
    }
  }
  std::printf("], \"answered\": %ld, \"changed\": %ld, \"resident_kib\": [",
              load.answered.load(), load.changed.load());
  comma = "";
  for (const long kib : load.resident_kib) {
    std::printf("%s%ld", comma, kib);
    comma = ", ";
  }
  std::printf("]}\n");
}

bool ReadOption(const std::string& argument, const std::string& name,
                int* value) {
  const std::string prefix = "--" + name + "=";
  if (argument.rfind(prefix, 0) != 0) return false;
  *value = std::atoi(argument.c_str() + prefix.size());
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  bool known = count >= 4;
  for (int i = 4; i < count; ++i) {
    known = known && (ReadOption(arguments[i], "threads", &options.threads) ||
                      ReadOption(arguments[i], "repeat", &options.repeat) ||
                      ReadOption(arguments[i], "timeout_ms",
                                 &options.timeout_ms) ||
                      ReadOption(arguments[i], "seconds", &options.seconds));
  }
  if (!known || options.threads < 1 || options.repeat < 1) {
    std::cerr << "usage: loader MODEL REQUESTS ANSWERS [--threads=N] "
                 "[--repeat=N] [--timeout_ms=N] [--seconds=N]"
              << std::endl;
    return 2;
  }
  tensorflow::DisableXlaCompilation();
  const std::vector<Message> requests = ReadRequests(arguments[2]);

  auto start = Clock::now();
  tensorflow::SavedModelBundle bundle;
  DieOnError(tensorflow::LoadSavedModel({}, {}, arguments[1], {"serve"},
                                        &bundle));
  const double load_ms = MillisecondsSince(start);

  // Several first requests at once would each prepare the graph anew.
  if (options.threads > 1) {
    Options once = options;
    once.repeat = 1;
    RunAll(bundle, requests, once);
  }
  start = Clock::now();
  std::vector<Answers> answers(options.threads);
  std::vector<std::thread> threads;
  for (Answers& of_thread : answers) {
    threads.emplace_back(
        [&] { of_thread = RunAll(bundle, requests, options); });
  }
  for (std::thread& thread : threads) thread.join();
  const double run_ms = MillisecondsSince(start);
  Load load;
  if (!requests.empty()) RunLoad(bundle, requests, options, answers, &load);
  Report(load_ms, run_ms, answers, load);
  WriteAnswers(arguments[3], answers);
  return 0;
}
