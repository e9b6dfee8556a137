#pragma once

#include <holdfast/libtorch/impl/tensor.ipp>

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

/// What LibTorch's optimizers consist of: one list of fields per type, which a
/// writer and a reader visit.
namespace holdfast::detail {

namespace optim = torch::optim;

/// The optional types of the options: LibTorch's own before 2.1.
using OptionalInteger = std::decay_t<
    decltype(std::declval<const optim::LBFGSOptions&>().max_eval())>;
using OptionalText = std::decay_t<
    decltype(std::declval<const optim::LBFGSOptions&>().line_search_fn())>;

class FieldVisitor {
 public:
  virtual void operator()(const char* name, bool& value) = 0;
  virtual void operator()(const char* name, std::int64_t& value) = 0;
  virtual void operator()(const char* name, double& value) = 0;
  virtual void operator()(
      const char* name,
      std::tuple<double, double>& value) = 0;
  virtual void operator()(const char* name, OptionalInteger& value) = 0;
  virtual void operator()(const char* name, OptionalText& value) = 0;
  virtual void operator()(const char* name, at::Tensor& tensor) = 0;
  virtual void operator()(const char* name, std::deque<at::Tensor>& list) = 0;

 protected:
  ~FieldVisitor() = default;
};

// --- options -----------------------------------------------------------------

template <class Options>
void visit_adam_options(FieldVisitor& v, Options& o) {
  v("lr", o.lr());
  v("betas", o.betas());
  v("eps", o.eps());
  v("weight_decay", o.weight_decay());
  v("amsgrad", o.amsgrad());
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::AdamOptions& o) {
  visit_adam_options(v, o);
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::AdamWOptions& o) {
  visit_adam_options(v, o);
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::SGDOptions& o) {
  v("lr", o.lr());
  v("momentum", o.momentum());
  v("dampening", o.dampening());
  v("weight_decay", o.weight_decay());
  v("nesterov", o.nesterov());
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::RMSpropOptions& o) {
  v("lr", o.lr());
  v("alpha", o.alpha());
  v("eps", o.eps());
  v("weight_decay", o.weight_decay());
  v("momentum", o.momentum());
  v("centered", o.centered());
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::AdagradOptions& o) {
  v("lr", o.lr());
  v("lr_decay", o.lr_decay());
  v("weight_decay", o.weight_decay());
  v("initial_accumulator_value", o.initial_accumulator_value());
  v("eps", o.eps());
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::LBFGSOptions& o) {
  v("lr", o.lr());
  v("max_iter", o.max_iter());
  v("max_eval", o.max_eval());
  v("tolerance_grad", o.tolerance_grad());
  v("tolerance_change", o.tolerance_change());
  v("history_size", o.history_size());
  v("line_search_fn", o.line_search_fn());
}

// --- state of one parameter --------------------------------------------------

template <class State>
void visit_adam_state(FieldVisitor& v, State& s) {
  v("step", s.step());
  v("exp_avg", s.exp_avg());
  v("exp_avg_sq", s.exp_avg_sq());
  v("max_exp_avg_sq", s.max_exp_avg_sq());
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::AdamParamState& s) {
  visit_adam_state(v, s);
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::AdamWParamState& s) {
  visit_adam_state(v, s);
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::SGDParamState& s) {
  v("momentum_buffer", s.momentum_buffer());
}
HOLDFAST_INLINE void visit_fields(
    FieldVisitor& v,
    optim::RMSpropParamState& s) {
  v("step", s.step());
  v("square_avg", s.square_avg());
  v("momentum_buffer", s.momentum_buffer());
  v("grad_avg", s.grad_avg());
}
HOLDFAST_INLINE void visit_fields(
    FieldVisitor& v,
    optim::AdagradParamState& s) {
  v("step", s.step());
  v("sum", s.sum());
}
HOLDFAST_INLINE void visit_fields(FieldVisitor& v, optim::LBFGSParamState& s) {
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

/// Visits the fields of `object` if its type is exactly one of `Types`: a type
/// that derives from one may have more members.
template <class... Types, class Base>
bool visit_exactly(FieldVisitor& v, Base& object) {
  const std::type_info& type = typeid(object);
  return (
      (type == typeid(Types) &&
       (visit_fields(v, static_cast<Types&>(object)), true)) ||
      ...);
}

/// False for options of an unknown type.
HOLDFAST_INLINE bool visit_options(
    FieldVisitor& v,
    optim::OptimizerOptions& options) {
  return visit_exactly<
      optim::AdamOptions,
      optim::AdamWOptions,
      optim::SGDOptions,
      optim::RMSpropOptions,
      optim::AdagradOptions,
      optim::LBFGSOptions>(v, options);
}

/// False for a state of an unknown type.
HOLDFAST_INLINE bool visit_state(
    FieldVisitor& v,
    optim::OptimizerParamState& state) {
  return visit_exactly<
      optim::AdamParamState,
      optim::AdamWParamState,
      optim::SGDParamState,
      optim::RMSpropParamState,
      optim::AdagradParamState,
      optim::LBFGSParamState>(v, state);
}

template <class... Types>
void assign_exactly(
    optim::OptimizerOptions& to,
    const optim::OptimizerOptions& from) {
  const std::type_info& type = typeid(to);
  (void)((type == typeid(Types) && (static_cast<Types&>(to) = static_cast<const Types&>(from), true)) || ...);
}

/// Between options of the same known type.
HOLDFAST_INLINE void assign_options(
    optim::OptimizerOptions& to,
    const optim::OptimizerOptions& from) {
  assign_exactly<
      optim::AdamOptions,
      optim::AdamWOptions,
      optim::SGDOptions,
      optim::RMSpropOptions,
      optim::AdagradOptions,
      optim::LBFGSOptions>(to, from);
}

/// An empty state of one of LibTorch's types by its name in a checkpoint; null
/// for any other name.
HOLDFAST_INLINE std::unique_ptr<optim::OptimizerParamState> make_known_state(
    const std::string& type) {
  using State = std::unique_ptr<optim::OptimizerParamState>;
  if (type == "torch::optim::AdamParamState") {
    return State(new optim::AdamParamState);
  }
  if (type == "torch::optim::AdamWParamState") {
    return State(new optim::AdamWParamState);
  }
  if (type == "torch::optim::SGDParamState") {
    return State(new optim::SGDParamState);
  }
  if (type == "torch::optim::RMSpropParamState") {
    return State(new optim::RMSpropParamState);
  }
  if (type == "torch::optim::AdagradParamState") {
    return State(new optim::AdagradParamState);
  }
  if (type == "torch::optim::LBFGSParamState") {
    return State(new optim::LBFGSParamState);
  }
  return nullptr;
}

} // namespace holdfast::detail
