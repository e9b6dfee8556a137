#pragma once

/// Names only.
namespace holdfast {

class Error;
class LoadOptions;
class Manager;
class Metrics;
class Options;
class Part;
class PartSet;
class SaveHandle;
class Value;
struct LoadReport;
struct Progress;
struct ResumeReport;

template <class... Parts>
class CheckpointManager;
template <class T>
struct Named;
template <class T>
struct StateAdapter;

} // namespace holdfast
