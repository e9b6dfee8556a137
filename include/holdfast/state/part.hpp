#pragma once

#include <holdfast/base/bytes.hpp>
#include <holdfast/format/dtype.hpp>
#include <holdfast/format/value.hpp>
#include <holdfast/state/cursor.hpp>
#include <holdfast/state/mismatches.hpp>
#include <holdfast/state/names.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// What a state is: named tensors and values. The engine captures, writes,
/// reads and restores these without knowing what they belong to.
namespace holdfast {

/// A tensor's description. `strides` are those of the live tensor, in elements;
/// the bytes that travel are always row-major.
struct TensorInfo {
  std::string name; ///< Unique in its part.
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides; ///< Empty: row-major.
  std::vector<std::string> aliases; ///< Other names of the same tensor.
};

inline bool operator==(const TensorInfo& a, const TensorInfo& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
      a.strides == b.strides && a.aliases == b.aliases;
}

/// The bytes of one captured tensor, row-major. Keeps its tensor alive, but
/// does not copy it: the bytes are those of the moment at which they are read.
class TensorSource {
 public:
  /// Where a live tensor's elements lie, on whatever device, without a gap.
  struct Memory {
    const std::byte* begin = nullptr; ///< Null: nobody knows.
    bool row_major = true;
  };

  virtual ~TensorSource() = default;
  /// All bytes in host memory, or null where they must be copied out.
  [[nodiscard]] virtual const std::byte* data() const noexcept = 0;
  /// Copies `count` bytes from `offset` on; blocks until they are there.
  virtual void copy_out(
      std::uint64_t offset,
      std::byte* into,
      std::size_t count) const = 0;
  /// By default that of `data()`.
  [[nodiscard]] virtual Memory memory() const noexcept {
    return {data(), true};
  }
};

struct TensorOut {
  TensorInfo info;
  std::shared_ptr<const TensorSource> source;

  /// Of all its bytes.
  [[nodiscard]] std::uint64_t size() const noexcept {
    return tensor_bytes(info.dtype, info.shape).value_or(0);
  }
  [[nodiscard]] Bytes copy() const {
    Bytes bytes;
    copy_to(bytes);
    return bytes;
  }
  /// In memory that is there already, if it is large enough.
  void copy_to(Bytes& into) const {
    into.resize(static_cast<std::size_t>(size()));
    if (!into.empty()) {
      source->copy_out(0, into.data(), into.size());
    }
  }
};

/// A captured state. Tensors alias live ones until they are written.
struct State {
  std::vector<TensorOut> tensors;
  Values values;
};

/// A state as a checkpoint tells it, before any tensor's bytes are read.
struct Saved {
  std::vector<TensorInfo> tensors;
  Values values;
  /// Where `load()` was told to put tensors that the object does not have yet
  /// ("cuda:0"); empty: where they were, or the host.
  std::string device;
};

/// A restore that has been checked and only needs bytes. Until `apply` nothing
/// live has changed; destroying it instead leaves everything untouched.
class Restore {
 public:
  virtual ~Restore() = default;

  /// Fresh row-major memory for tensor `index` of `Saved::tensors`, of exactly
  /// its size, into which the engine reads; null where the engine shall stage
  /// the bytes itself.
  [[nodiscard]] virtual std::byte* buffer(std::size_t index) noexcept {
    (void)index;
    return nullptr;
  }
  /// Puts the state in place. `bytes[i]` holds tensor i, row-major, and equals
  /// `buffer(i)` where that is not null. Built-in parts cannot fail here.
  virtual void apply(const std::vector<const std::byte*>& bytes) = 0;
  /// The same for random state inside a part that is not of `Stage::random`:
  /// called after `apply` and after all callbacks, which may draw. Cannot fail.
  virtual void apply_random() {}
  /// Takes `apply` back; called when this `apply` threw, which may be halfway,
  /// or, in reverse order, when that of a later part did. Only parts that run
  /// user code in `apply` need it.
  virtual void undo() noexcept {}
};

/// The order in which parts are applied. Users' code first, because it may
/// fail; random state last, because everything else may draw.
enum class Stage { user, module, optimizer, scheduler, value, data, random };

class Part;

/// Random state and where it is: "augment", "augment: engine".
struct NamedRandom {
  std::string name;
  Part* part; ///< Valid until its owner publishes again.
};

/// One named object of a training run. Holds a reference to it: the object must
/// outlive the part. One thread at a time.
class Part {
 public:
  virtual ~Part() = default;

  /// "module", "optimizer", ...; compared at a restore (`type_mismatch`).
  [[nodiscard]] virtual std::string kind() const = 0;
  [[nodiscard]] virtual Stage stage() const = 0;

  /// Tells the names of its tensors. All parts publish before any captures or
  /// prepares, so optimizers find parameter names whatever the order. An
  /// optimizer is saved only if its parameters have been published.
  virtual void publish(const std::string& part, Names& names) {
    (void)part;
    (void)names;
  }

  /// `not_capturable`, with the type's name and what to write, for state that
  /// cannot be saved. May draw random numbers: the engine puts them back.
  [[nodiscard]] virtual State capture(const Names& names) = 0;

  /// Asked by `load()` before `prepare`: takes out of the saved values what
  /// belongs to the training loop and not to the object, so that `prepare` then
  /// leaves it as it is: modes, flags, gradients. Passes over values that are
  /// not as they should be; `prepare` tells. `resume()` never asks.
  virtual void drop_loop_state(Values& saved) const {
    (void)saved;
  }

  /// Asked by `load()` before `prepare` where it renames: gives every name in
  /// `saved` that belongs to a tensor its new one. `part` is this part's name.
  /// By default those of the tensors and their aliases.
  virtual void rename(
      Saved& saved,
      const std::string& part,
      const Leniency& leniency) const {
    for (TensorInfo& tensor : saved.tensors) {
      tensor.name = leniency.new_name(part, tensor.name);
      for (std::string& alias : tensor.aliases) {
        alias = leniency.new_name(part, alias);
      }
    }
  }

  /// Checks `saved` against the object and allocates, but changes nothing.
  /// Appends every mismatch; the result is used only if there is none but
  /// those that `Mismatches::allow` allowed.
  [[nodiscard]] virtual std::unique_ptr<Restore> prepare(
      const Saved& saved,
      const Names& names,
      Mismatches& mismatches) = 0;

  /// Called when every part but random state has been applied. Must not throw:
  /// there is no way back from here.
  virtual void restored() {}

  /// Remarks for the resume report: what is saved only in part, and why.
  [[nodiscard]] virtual std::vector<std::string> notes() const {
    return {};
  }

  /// False after a restore that could not go on exactly where the saved run
  /// was; `notes()` then say why.
  [[nodiscard]] virtual bool exact() const {
    return true;
  }

  /// Called before every resume or fresh start: what an earlier `prepare`, of a
  /// restore that failed, has left for `notes()` and `exact()` counts no more.
  virtual void forget_restore() noexcept {}

  /// Appends the random state in it: itself, called `name`, or members of it.
  virtual void list_random(
      const std::string& name,
      std::vector<NamedRandom>& into) {
    if (stage() == Stage::random) {
      into.push_back({name, this});
    }
  }

  /// Multiplies every learning rate in it by `factor`; false if it has none. 1
  /// changes nothing, and shows whether it throws.
  virtual bool scale_learning_rates(double factor) {
    (void)factor;
    return false;
  }

  /// For data sources that a manager attaches; null for anything else. Asked
  /// for again and again: belongs to the object, not to the part.
  [[nodiscard]] virtual Cursor* cursor() noexcept {
    return nullptr;
  }
  /// Detaches the cursors of objects that it held, and holds no more.
  virtual void let_go() noexcept {}
};

} // namespace holdfast
