"What a user of the library types, for the type checkers (test_types.py): it is checked, not run."
import torch
import torchvision

import arq_nb as arq

train, held_out, test = arq.images("photos", size=224, hold_out=500)
net = arq.normalized(torchvision.models.resnet18(num_classes=len(train.classes)))
arq.fit(net, train, sigma=0.25, epochs=10)
budget = arq.Budget(net, train.shape, bits=4)
found = arq.search(net, train, held_out, budget, sigma=0.25, policies=24, out="runs/r18")
small = found.finish(epochs=3)
print(small.certify(test, n=1_000))
small.save("runs/r18/final")
again = arq.load("runs/r18/final", net)

policy = arq.Policy.uniform(net, 4, 4).replace("0.conv1", weight=8)
assert budget.allows(policy) and budget.fraction(policy) < 1
quantized = arq.dequantize(arq.calibrate(arq.quantize(net, policy), torch.rand(8, 3, 224, 224)))
smoothed = arq.SmoothedClassifier(quantized, sigma=0.25)
certificate = smoothed.certify(torch.rand(3, 224, 224), n0=100, n=1_000, alpha=0.001)
name: str = train.classes[certificate.prediction] if certificate.prediction >= 0 else "?"
radius: float = certificate.radius
log = arq.read_log("runs/r18/final/certificates.tsv")
print(name, radius, arq.average_certified_radius(log), arq.certified_accuracy(log, [0.0, 0.25]), found.policy)
