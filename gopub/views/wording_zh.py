"""The same words in Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping

ZH: Mapping[str, str] = {
    "title": "{app} {version} 发布到 {env}",
    "from": "发布 {rollout}，自 {start} UTC 起观察 {looks} 次",
    "never": "发布 {rollout}：没有任何观察",
    "decided": "第一步开始 {after} 后，按规则 {rule} 判定 {kind}（实线）",
    "by_hand": "第一步开始 {after} 后退回，并非由判定决定（实线）",
    "open": "尚未决定；最近的判定是规则 {rule} 的 {kind}",
    "step": "第{step}步",
    "evidence": "证据 E：金丝雀更差",
    "evidence_says": "对数刻度；E 达到上线立即退回， 达到下线且另有迹象时退回",
    "no_evidence": "没有计数，未计算 E",
    "limit_sure": "1/α = {value}",
    "limit_far": "100/α = {value}",
    "beyond": "； E 曾达到 {value}，超出刻度",
    "rates": "最近一分钟的失败率",
    "rates_says": "阴影：95 % 区间， 失败成群出现时放宽",
    "no_rates": "任何一次观察都没有计到应答",
    "allowed": "SLO {value}",
    "latency": "最近一分钟的应答时间",
    "latency_says": "半数（p50）与 95 %（p95） 的应答不超过此值",
    "no_latency": "任何一次观察都没有计时",
    "target": "SLO p95 {value}",
    "memory": "金丝雀主机的内存",
    "memory_says": "服务主进程的常驻内存",
    "no_memory": "没有主机报告内存",
    "more": "其余 {count} 台中最高",
    "canary": "金丝雀",
    "stable": "稳定版",
    "last": "{name} {value}",
    "told": "{title}：{what}。",
}  # fmt: skip
