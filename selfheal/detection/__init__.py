"""What is unusual: learnt baselines of metrics, and verdicts on one scale.

Each name is loaded when first used: no detector brings a package that only another one needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.detection.bank import BaselineBank as BaselineBank
    from selfheal.detection.baseline import BaselineConfig as BaselineConfig
    from selfheal.detection.baseline import SeasonalBaseline as SeasonalBaseline
    from selfheal.detection.calibrator import TailCalibrator as TailCalibrator
    from selfheal.detection.composite import CompositeConfig as CompositeConfig
    from selfheal.detection.composite import CompositeDetector as CompositeDetector
    from selfheal.detection.forest.detector import ForestConfig as ForestConfig
    from selfheal.detection.forest.detector import IsolationForestDetector as IsolationForestDetector
    from selfheal.detection.forest.flat import FlatForest as FlatForest
    from selfheal.detection.gate import MULTIVARIATE_GATE as MULTIVARIATE_GATE
    from selfheal.detection.gate import AlertGate as AlertGate
    from selfheal.detection.gate import GateConfig as GateConfig
    from selfheal.detection.history import History as History
    from selfheal.detection.history import HistoryConfig as HistoryConfig
    from selfheal.detection.leak import Leak as Leak
    from selfheal.detection.leak import LeakConfig as LeakConfig
    from selfheal.detection.leak import LeakDetector as LeakDetector
    from selfheal.detection.metric import MetricConfig as MetricConfig
    from selfheal.detection.metric import MetricDetector as MetricDetector
    from selfheal.detection.monitor.config import MonitorConfig as MonitorConfig
    from selfheal.detection.monitor.monitor import Monitor as Monitor
    from selfheal.detection.monitor.series import SeriesLearner as SeriesLearner
    from selfheal.detection.monitor.snapshots import MonitorSnapshot as MonitorSnapshot
    from selfheal.detection.protocols import Detector as Detector
    from selfheal.detection.protocols import MultivariateDetector as MultivariateDetector
    from selfheal.detection.rules.findings import Finding as Finding
    from selfheal.detection.rules.loading import load_rules as load_rules
    from selfheal.detection.rules.watching import RuleWatch as RuleWatch
    from selfheal.detection.sampler import Sample as Sample
    from selfheal.detection.sampler import Sampler as Sampler
    from selfheal.detection.sampler import SamplerConfig as SamplerConfig
    from selfheal.detection.svm import OneClassSVMDetector as OneClassSVMDetector
    from selfheal.detection.svm import SvmConfig as SvmConfig
    from selfheal.detection.verdict import Reason as Reason
    from selfheal.detection.verdict import Verdict as Verdict
    from selfheal.detection.window_config import WindowConfig as WindowConfig

_HOME = {
    "AlertGate": "gate",
    "BaselineBank": "bank",
    "BaselineConfig": "baseline",
    "CompositeConfig": "composite",
    "CompositeDetector": "composite",
    "Detector": "protocols",
    "Finding": "selfheal.detection.rules.findings",
    "FlatForest": "selfheal.detection.forest.flat",
    "ForestConfig": "selfheal.detection.forest.detector",
    "GateConfig": "gate",
    "History": "history",
    "HistoryConfig": "history",
    "IsolationForestDetector": "selfheal.detection.forest.detector",
    "Leak": "leak",
    "LeakConfig": "leak",
    "LeakDetector": "leak",
    "MULTIVARIATE_GATE": "gate",
    "MetricConfig": "metric",
    "MetricDetector": "metric",
    "Monitor": "selfheal.detection.monitor.monitor",
    "MonitorConfig": "selfheal.detection.monitor.config",
    "MonitorSnapshot": "selfheal.detection.monitor.snapshots",
    "MultivariateDetector": "protocols",
    "OneClassSVMDetector": "svm",
    "Reason": "verdict",
    "RuleWatch": "selfheal.detection.rules.watching",
    "Sample": "sampler",
    "Sampler": "sampler",
    "SamplerConfig": "sampler",
    "SeasonalBaseline": "baseline",
    "SeriesLearner": "selfheal.detection.monitor.series",
    "SvmConfig": "svm",
    "TailCalibrator": "calibrator",
    "Verdict": "verdict",
    "WindowConfig": "window_config",
    "load_rules": "selfheal.detection.rules.loading",
}

__all__ = [
    "AlertGate",
    "BaselineBank",
    "BaselineConfig",
    "CompositeConfig",
    "CompositeDetector",
    "Detector",
    "Finding",
    "FlatForest",
    "ForestConfig",
    "GateConfig",
    "History",
    "HistoryConfig",
    "IsolationForestDetector",
    "Leak",
    "LeakConfig",
    "LeakDetector",
    "MULTIVARIATE_GATE",
    "MetricConfig",
    "MetricDetector",
    "Monitor",
    "MonitorConfig",
    "MonitorSnapshot",
    "MultivariateDetector",
    "OneClassSVMDetector",
    "Reason",
    "RuleWatch",
    "Sample",
    "Sampler",
    "SamplerConfig",
    "SeasonalBaseline",
    "SeriesLearner",
    "SvmConfig",
    "TailCalibrator",
    "Verdict",
    "WindowConfig",
    "load_rules",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())
