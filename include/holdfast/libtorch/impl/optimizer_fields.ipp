#pragma once

#include <holdfast/libtorch/impl/tensor.ipp>

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <deque>
#include <set>
#include <string>
#include <tuple>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <vector>

/// What LibTorch's optimizers consist of: one list of fields per type, which a
/// writer and a reader visit.
namespace holdfast::detail {

namespace optim = torch::optim;

// --- options -----------------------------------------------------------------

template <class Visitor, class Options>
void visit_adam_options(Visitor& v, Options& o) {
  v("lr", o.lr());
  v("betas", o.betas());
  v("eps", o.eps());
  v("weight_decay", o.weight_decay());
  v("amsgrad", o.amsgrad());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::AdamOptions& o) {
  visit_adam_options(v, o);
}
template <class Visitor>
void visit_fields(Visitor& v, optim::AdamWOptions& o) {
  visit_adam_options(v, o);
}
template <class Visitor>
void visit_fields(Visitor& v, optim::SGDOptions& o) {
  v("lr", o.lr());
  v("momentum", o.momentum());
  v("dampening", o.dampening());
  v("weight_decay", o.weight_decay());
  v("nesterov", o.nesterov());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::RMSpropOptions& o) {
  v("lr", o.lr());
  v("alpha", o.alpha());
  v("eps", o.eps());
  v("weight_decay", o.weight_decay());
  v("momentum", o.momentum());
  v("centered", o.centered());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::AdagradOptions& o) {
  v("lr", o.lr());
  v("lr_decay", o.lr_decay());
  v("weight_decay", o.weight_decay());
  v("initial_accumulator_value", o.initial_accumulator_value());
  v("eps", o.eps());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::LBFGSOptions& o) {
  v("lr", o.lr());
  v("max_iter", o.max_iter());
  v("max_eval", o.max_eval());
  v("tolerance_grad", o.tolerance_grad());
  v("tolerance_change", o.tolerance_change());
  v("history_size", o.history_size());
  v("line_search_fn", o.line_search_fn());
}

// --- state of one parameter --------------------------------------------------

template <class Visitor, class State>
void visit_adam_state(Visitor& v, State& s) {
  v("step", s.step());
  v("exp_avg", s.exp_avg());
  v("exp_avg_sq", s.exp_avg_sq());
  v("max_exp_avg_sq", s.max_exp_avg_sq());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::AdamParamState& s) {
  visit_adam_state(v, s);
}
template <class Visitor>
void visit_fields(Visitor& v, optim::AdamWParamState& s) {
  visit_adam_state(v, s);
}
template <class Visitor>
void visit_fields(Visitor& v, optim::SGDParamState& s) {
  v("momentum_buffer", s.momentum_buffer());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::RMSpropParamState& s) {
  v("step", s.step());
  v("square_avg", s.square_avg());
  v("momentum_buffer", s.momentum_buffer());
  v("grad_avg", s.grad_avg());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::AdagradParamState& s) {
  v("step", s.step());
  v("sum", s.sum());
}
template <class Visitor>
void visit_fields(Visitor& v, optim::LBFGSParamState& s) {
  v("func_evals", s.func_evals());
  v("n_iter", s.n_iter());
  v("t", s.t());
  v("prev_loss", s.prev_loss());
  v("d", s.d());
  v("H_diag", s.H_diag());
  v("prev_flat_grad", s.prev_flat_grad());
  v("old_dirs", s.old_dirs());
  v("old_stps", s.old_stps());
  v("ro", s.ro());
}

// --- which type it is --------------------------------------------------------

/// Calls `use` with `object` as its own type if it is exactly one of `Types`: a
/// type that derives from one may have more members.
template <class... Types, class Base, class Use>
bool as_exactly(Base& object, Use&& use) {
  const std::type_info& type = typeid(object);
  return (
      (type == typeid(Types) && (use(static_cast<Types&>(object)), true)) ||
      ...);
}

template <class Use>
bool with_known_options(optim::OptimizerOptions& options, Use&& use) {
  return as_exactly<
      optim::AdamOptions,
      optim::AdamWOptions,
      optim::SGDOptions,
      optim::RMSpropOptions,
      optim::AdagradOptions,
      optim::LBFGSOptions>(options, std::forward<Use>(use));
}

template <class Use>
bool with_known_state(optim::OptimizerParamState& state, Use&& use) {
  return as_exactly<
      optim::AdamParamState,
      optim::AdamWParamState,
      optim::SGDParamState,
      optim::RMSpropParamState,
      optim::AdagradParamState,
      optim::LBFGSParamState>(state, std::forward<Use>(use));
}

/// An empty state of one of LibTorch's types by its name in a checkpoint; null
/// for any other name.
HOLDFAST_INLINE std::unique_ptr<optim::OptimizerParamState> make_known_state(
    const std::string& type) {
  if (type == "torch::optim::AdamParamState") {
    return std::make_unique<optim::AdamParamState>();
  }
  if (type == "torch::optim::AdamWParamState") {
    return std::make_unique<optim::AdamWParamState>();
  }
  if (type == "torch::optim::SGDParamState") {
    return std::make_unique<optim::SGDParamState>();
  }
  if (type == "torch::optim::RMSpropParamState") {
    return std::make_unique<optim::RMSpropParamState>();
  }
  if (type == "torch::optim::AdagradParamState") {
    return std::make_unique<optim::AdagradParamState>();
  }
  if (type == "torch::optim::LBFGSParamState") {
    return std::make_unique<optim::LBFGSParamState>();
  }
  return nullptr;
}

/// The optional types of the options: LibTorch's own before 2.1.
using OptionalInteger = std::decay_t<
    decltype(std::declval<const optim::LBFGSOptions&>().max_eval())>;
using OptionalText = std::decay_t<
    decltype(std::declval<const optim::LBFGSOptions&>().line_search_fn())>;

// --- writer and reader -------------------------------------------------------

class FieldWriter {
 public:
  FieldWriter(
      Values& values,
      std::vector<TensorOut>& tensors,
      std::string prefix,
      std::optional<at::Device> device)
      : values_(values),
        tensors_(tensors),
        prefix_(std::move(prefix)),
        device_(device) {}

  void operator()(const std::string& name, bool value) {
    values_[name] = value;
  }
  void operator()(const std::string& name, std::int64_t value) {
    values_[name] = value;
  }
  void operator()(const std::string& name, double value) {
    values_[name] = value;
  }
  void operator()(
      const std::string& name,
      const std::tuple<double, double>& value) {
    values_[name] = Value::Array{std::get<0>(value), std::get<1>(value)};
  }
  void operator()(const std::string& name, const OptionalInteger& value) {
    values_[name] = value.has_value() ? Value(*value) : Value();
  }
  void operator()(const std::string& name, const OptionalText& value) {
    values_[name] = value.has_value() ? Value(*value) : Value();
  }
  /// A tensor that is undefined leaves no trace.
  void operator()(const std::string& name, const at::Tensor& tensor) {
    if (!tensor.defined()) {
      return;
    }
    tensors_.push_back({describe(tensor, prefix_ + name), source_of(tensor)});
    if (device_ && tensor.device() != *device_) {
      values_[name + ".device"] = tensor.device().str();
    }
  }
  void operator()(
      const std::string& name,
      const std::deque<at::Tensor>& list) {
    values_[name] = list.size();
    for (std::size_t i = 0; i < list.size(); ++i) {
      (*this)(name + "." + std::to_string(i), list[i]);
    }
  }

 private:
  Values& values_;
  std::vector<TensorOut>& tensors_;
  std::string prefix_;
  std::optional<at::Device> device_;
};

/// The tensors of a saved state by name, and what has become of them.
class SavedTensors {
 public:
  explicit SavedTensors(const std::vector<TensorInfo>& tensors)
      : infos_(tensors), fresh_(tensors.size()) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      by_name_.emplace(tensors[i].name, i);
    }
  }

  [[nodiscard]] const TensorInfo* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &infos_[found->second];
  }
  at::Tensor allocate(const TensorInfo& info, at::Device device) {
    at::Tensor& fresh =
        fresh_[static_cast<std::size_t>(&info - infos_.data())];
    fresh = detail::allocate(info, device);
    return fresh;
  }
  void report_unused(Mismatches& mismatches) const {
    for (std::size_t i = 0; i < infos_.size(); ++i) {
      if (!fresh_[i].defined()) {
        mismatches.push_back(
            {ErrorCode::name_unexpected,
             infos_[i].name,
             "nothing",
             tensor_text(infos_[i])});
      }
    }
  }
  [[nodiscard]] std::vector<at::Tensor> take() {
    return std::move(fresh_);
  }

 private:
  const std::vector<TensorInfo>& infos_;
  std::vector<at::Tensor> fresh_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

class FieldReader {
 public:
  FieldReader(
      const Values& values,
      SavedTensors& tensors,
      std::string prefix,
      const at::Tensor& parameter,
      std::int64_t elements,
      Mismatches& mismatches)
      : values_(values),
        tensors_(tensors),
        prefix_(std::move(prefix)),
        parameter_(parameter),
        elements_(elements),
        mismatches_(mismatches) {}

  template <class T>
  std::enable_if_t<std::is_arithmetic_v<T>> operator()(
      const std::string& name,
      T& value) {
    if (const Value* saved = find(name)) {
      value = saved->as<T>(prefix_ + name);
    }
  }
  void operator()(const std::string& name, std::tuple<double, double>& value) {
    if (const Value* saved = find(name)) {
      const Value::Array& pair = saved->array(prefix_ + name);
      if (pair.size() != 2) {
        mismatches_.push_back(
            {ErrorCode::type_mismatch,
             prefix_ + name,
             "2 numbers",
             std::to_string(pair.size())});
        return;
      }
      value = std::make_tuple(
          pair[0].as<double>(prefix_ + name),
          pair[1].as<double>(prefix_ + name));
    }
  }
  void operator()(const std::string& name, OptionalInteger& value) {
    if (const Value* saved = find(name)) {
      value = OptionalInteger();
      if (saved->kind() != Value::Kind::null) {
        value = saved->as<std::int64_t>(prefix_ + name);
      }
    }
  }
  void operator()(const std::string& name, OptionalText& value) {
    if (const Value* saved = find(name)) {
      value = OptionalText();
      if (saved->kind() != Value::Kind::null) {
        value = saved->text(prefix_ + name);
      }
    }
  }
  void operator()(const std::string& name, at::Tensor& tensor) {
    tensor = at::Tensor();
    const TensorInfo* info = tensors_.find(prefix_ + name);
    if (info == nullptr) {
      return;
    }
    if (!fits(*info)) {
      mismatches_.push_back(
          {ErrorCode::shape_mismatch,
           info->name,
           elements_ < 0 ? shape_text(parameter_.sizes().vec())
                         : shape_text({elements_}),
           shape_text(info->shape)});
    }
    at::Device device = parameter_.device();
    const auto other = values_.find(name + ".device");
    if (other != values_.end()) {
      used_.insert(other->first);
      device = device_or_host(other->second.text(prefix_ + name));
    }
    tensor = tensors_.allocate(*info, device);
  }
  void operator()(const std::string& name, std::deque<at::Tensor>& list) {
    list.clear();
    const Value* saved = find(name);
    if (saved == nullptr) {
      return;
    }
    const auto count = saved->as<std::uint32_t>(prefix_ + name);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string item = name + "." + std::to_string(i);
      if (tensors_.find(prefix_ + item) == nullptr) {
        mismatches_.push_back(
            {ErrorCode::name_missing,
             prefix_ + item,
             "a tensor",
             "nothing"});
        return;
      }
      list.emplace_back();
      (*this)(item, list.back());
    }
  }

  /// Values that no field asked for.
  void report_unused() {
    for (const auto& item : values_) {
      if (used_.count(item.first) == 0) {
        mismatches_.push_back(
            {ErrorCode::name_unexpected,
             prefix_ + item.first,
             "nothing",
             to_string(item.second.kind())});
      }
    }
  }

 private:
  const Value* find(const std::string& name) {
    const auto found = values_.find(name);
    if (found == values_.end()) {
      mismatches_.push_back(
          {ErrorCode::name_missing, prefix_ + name, "a value", "nothing"});
      return nullptr;
    }
    used_.insert(name);
    return &found->second;
  }

  /// Moments have the parameter's shape; where a state spans all parameters
  /// (`elements_` not negative) they are flat, or single numbers.
  [[nodiscard]] bool fits(const TensorInfo& info) const {
    if (elements_ < 0) {
      return info.shape == sizes_of(parameter_);
    }
    return info.shape.empty() ||
        (info.shape.size() == 1 &&
         (info.shape[0] == elements_ || info.shape[0] == 1));
  }

  const Values& values_;
  SavedTensors& tensors_;
  std::string prefix_;
  const at::Tensor& parameter_;
  std::int64_t elements_;
  Mismatches& mismatches_;
  std::set<std::string> used_;
};

} // namespace holdfast::detail
