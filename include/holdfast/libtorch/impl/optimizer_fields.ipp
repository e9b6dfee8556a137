#pragma once

#include <holdfast/libtorch/impl/tensor.ipp>

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <string>
#include <typeinfo>
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

} // namespace holdfast::detail
