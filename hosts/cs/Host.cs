// Runs tokens through a model, stage by stage: mono Host.exe MODEL.flat TOKEN... > RESULT
// Both files are described in hosts/README.md.
using System;
using System.IO;
using System.Linq;

static class Host {
	static float[] ReadFloats(BinaryReader file, int count) {
		var data = new float[count];
		System.Buffer.BlockCopy(file.ReadBytes(4 * count), 0, data, 0, 4 * count);
		return data;
	}

	static void Main(string[] words) {
		var file = new BinaryReader(File.OpenRead(words[0]));
		Func<int, int[]> readInts = n => Enumerable.Range(0, n).Select(i => file.ReadInt32()).ToArray();
		double normEps = file.ReadDouble(), theta = file.ReadDouble(), magnitude = file.ReadDouble();
		int[] shape = readInts(9);
		int layers = shape[2], headDim = shape[5];
		var model = new Llama3Model();
		model.SetShape(shape[0], shape[1], layers, shape[3], shape[4], headDim, shape[6], (float) normEps);
		model.SetRope((RopeStyle) shape[7], theta, ReadFloats(file, headDim / 2), (float) magnitude);
		for (int record = 0; record < shape[8]; record++) {
			int[] about = readInts(7);
			var type = (TensorType) about[3];
			float[] floats = type == TensorType.F32 ? ReadFloats(file, about[6] / 4) : null;
			Tensor tensor = model.GetTensor((TensorId) about[0], about[1]);
			if (about[2] == 1) tensor.SetBias(floats);
			else tensor.Set(type, about[4], about[5], floats, null, floats == null ? file.ReadBytes(about[6]) : null);
			if (about[2] != 2) continue;
			int length = tensor.GetPackedLength();
			tensor.SetPacked(floats == null ? new short[length] : null, floats == null ? null : new float[length]);
			tensor.Pack(0, 1);
		}
		int[] tokens = words.Skip(1).Select(int.Parse).ToArray();
		int count = tokens.Length;
		var state = new Llama3State();
		state.Init(model, count, 1, count, 1);
		KvCache cache = state.GetCache();
		cache.SetMemory(new float[cache.GetKeysLength()], new float[cache.GetValuesLength()]);
		var ids = (global::Buffer[]) Enum.GetValues(typeof(global::Buffer));
		var buffers = ids.ToDictionary(id => id, id => new float[state.GetBufferLength(id)]);
		foreach (var id in ids) state.SetBuffer(id, buffers[id]);
		int[] rows = Enumerable.Range(0, count).ToArray();
		state.SetBatch(tokens, rows, new int[count], rows);
		var result = new BinaryWriter(new BufferedStream(Console.OpenStandardOutput()));
		Action<global::Buffer> write = id => {
			foreach (float number in buffers[id]) result.Write(number);
			result.Flush();
		};
		state.Prepare(count);
		state.Embed(count);
		write(global::Buffer.Residual);
		for (int layer = 0; layer < layers; layer++) {
			state.AttentionBranch(layer, count);
			write(global::Buffer.Residual);
			state.FeedForwardBranch(layer, count);
			write(global::Buffer.Residual);
		}
		state.Head(count);
		write(global::Buffer.Logits);
	}
}
