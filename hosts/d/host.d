// Runs tokens through a model, stage by stage: host MODEL.flat TOKEN... > RESULT
// Both files are described in hosts/README.md.
import llama3;
import std.algorithm, std.array, std.conv, std.range, std.stdio, std.traits;

T[] read(T)(File file, size_t count) => file.rawRead(new T[count]);

float[] zeros(ptrdiff_t count) => repeat(0f, count).array; // what D begins with is no number

void main(string[] words)
{
	auto file = File(words[1], "rb");
	const scalars = read!double(file, 3);
	const shape = read!int(file, 9);
	const layers = shape[2], headDim = shape[5];
	auto model = new Llama3Model();
	model.setShape(shape[0], shape[1], layers, shape[3], shape[4], headDim, shape[6], scalars[0]);
	model.setRope(cast(RopeStyle) shape[7], scalars[1], read!float(file, headDim / 2), scalars[2]);
	foreach (record; 0 .. shape[8]) {
		const about = read!int(file, 7);
		const type = cast(TensorType) about[3];
		auto floats = type == TensorType.f32 ? read!float(file, about[6] / 4) : null;
		auto tensor = model.getTensor(cast(TensorId) about[0], about[1]);
		if (about[2] == 1) tensor.setBias(floats);
		else tensor.set(type, about[4], about[5], floats, null, floats ? null : read!ubyte(file, about[6]));
		if (about[2] != 2) continue;
		const length = tensor.getPackedLength();
		tensor.setPacked(floats ? null : new short[length], floats ? zeros(length) : null);
		tensor.pack(0, 1);
	}
	auto tokens = words[2 .. $].map!(to!int).array;
	const count = cast(int) tokens.length;
	auto state = new Llama3State();
	state.init(model, count, 1, count, 1);
	auto cache = state.getCache();
	cache.setMemory(zeros(cache.getKeysLength()), zeros(cache.getValuesLength()));
	float[][Buffer] buffers;
	foreach (id; EnumMembers!Buffer) state.setBuffer(id, buffers[id] = zeros(state.getBufferLength(id)));
	auto rows = iota(count).array;
	state.setBatch(tokens, rows, new int[count], rows);
	void write(Buffer id)
	{
		stdout.rawWrite(buffers[id]);
		stdout.flush();
	}

	state.prepare(count);
	state.embed(count);
	write(Buffer.residual);
	foreach (layer; 0 .. layers) {
		state.attentionBranch(layer, count);
		write(Buffer.residual);
		state.feedForwardBranch(layer, count);
		write(Buffer.residual);
	}
	state.head(count);
	write(Buffer.logits);
}
